"""Small networks from the field, each a class of mistake that reachq once made, with the right answer.

`tests/cases/NAME/` has the facts, and `tests/cases/README.md` a row for each. A case here says what `facts check` finds
(a part of its output, or of the refusal), and for each question the verdict, the file and line of the rule, and parts of
the reason and of a caveat.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from netlab.results.document import NO, UNKNOWN, YES
from tests.bench.conftest import Bench
from tests.bench.small import write_router

CASES = Path(__file__).parents[1] / "cases"
QUICK, DETAILED = "quick", "detailed"


@dataclass(frozen=True)
class Ask:
    """One question and what its answer must have; "" is not compared."""

    mode: str
    source: str
    destination: str
    services: str
    result: str
    rule: str = ""
    """File and line of the rule or policy that blocked it."""
    reply_rule: str = ""
    """The same for the reply."""
    path: str = ""
    """Routers, separated by blanks."""
    reason: str = ""
    caveat: str = ""


A, B = "10.0.1.10", "10.0.2.10"
REASON_OF_ECMP = (
    "the answer depends on the next hop of r1 to 10.0.2.0/24 (r1/routes.json:3): "
    "YES for 10.9.0.2 on c; NO for 10.9.0.3 on c: blocked by r3 (r3/iptables.rules:3)"
)
HAIRPIN = "the reply goes directly to 192.168.0.7, past rt, which would have to undo its DNAT"
REFUSED = {
    "byte-order-mark": "gw/addr.json:1: begins with a byte order mark",
    "empty-required-file": "gw/routes.json: is empty",
    "nft-flush-ruleset": "gw/nft.rules:2: `flush ruleset`",
    "nft-include": "gw/nft.rules:1: `include",
    "nft-nul": "gw/nft.rules:3: contains a NUL",
    "realm-flow": "gw/routes.json:1: entry 3, 10.7.0.0/16 via 10.0.2.254: realms are not supported",
    "unknown-target-message": "gw/iptables.rules:3: `-A PREROUTING -p udp -j FULLCONENAT`: FULLCONENAT is neither",
}
"""Case -> a part of the refusal."""
CHECKED = {
    "ct-helper-object": "gw/nft.rules:2: ct helper rtsp is left out",
    "misnamed-firewall-file": "WARNING gw/iptables.txt: is not read",
}
"""Case -> a part of what `facts check` prints beside OK."""
ASKED = {
    "docker0-everywhere": [
        ask
        for mode in (QUICK, DETAILED)
        for ask in (
            Ask(mode, "10.0.10.5", "10.0.20.5", "80/tcp", YES, path="d1 d2"),
            Ask(mode, "10.0.10.5", "172.17.0.1", "80/tcp", YES, path="d1"),
            Ask(mode, "10.0.10.5", "172.17.0.9", "80/tcp", YES, path="d1"),
            Ask(mode, "172.17.0.5", "172.17.0.9", "80/tcp", UNKNOWN, reason="d1:docker0, d2:docker0"),
        )
    ],
    "vrf-management": [
        ask
        for mode in (QUICK, DETAILED)
        for ask in (Ask(mode, A, B, "80/tcp", YES, path="gw", caveat="mgmt is a VRF"),)
    ],
    "wireguard-hub": [
        ask
        for mode in (QUICK, DETAILED)
        for ask in (
            Ask(mode, A, B, "80/tcp", YES, path="hub s2", caveat="assumed that hub:wg0 passes 10.0.2.10 to s2:wg0"),
            Ask(mode, A, "10.9.0.2", "80/tcp", YES, path="hub s2"),
            Ask(mode, A, "10.0.3.10", "80/tcp", YES, path="hub s3", caveat="assumed"),
        )
    ],
    "ecmp-dead-nexthop": [Ask(mode, A, "203.0.113.5", "443/tcp", YES, path="r") for mode in (QUICK, DETAILED)],
    "host-gateway-two-routers": [
        Ask(QUICK, "10.50.0.2", "192.168.1.120", "22/tcp", NO, rule="fw/iptables.rules:6", path="fw ap"),
        Ask(QUICK, "10.50.0.2", "192.168.1.120", "80/tcp", YES, path="fw ap"),
        Ask(QUICK, "192.168.1.120", "10.50.0.2", "22/tcp", YES, path="ap"),
        Ask(DETAILED, "192.168.1.120", "10.50.0.2", "22/tcp", NO, reply_rule="fw/iptables.rules:5", path="ap"),
        Ask(QUICK, "10.50.0.2", "198.51.100.9", "80/tcp", YES, path="fw"),
    ],
    "interface-without-address": [
        ask
        for mode in (QUICK, DETAILED)
        for ask in (
            Ask(mode, "192.0.2.50", "10.244.1.5", "443/tcp", YES, path="node"),
            Ask(mode, "192.0.2.50", "10.244.1.5", "80/tcp", NO, rule="node/iptables.rules:3"),
            Ask(mode, "10.244.1.5", "10.244.1.6", "80/tcp", YES, path="node"),
            Ask(mode, "10.244.1.6", "10.244.1.5", "80/tcp", NO, rule="node/iptables.rules:3"),
            Ask(mode, "198.51.100.7", "10.244.1.5", "443/tcp", YES, path="node"),
        )
    ],
    "default-route-to-known-destination": [
        Ask(
            mode,
            A,
            destination,
            "443/tcp",
            UNKNOWN,
            path="a",
            reason=f"{why}, but the packet leaves the network at a:wan",
        )
        for mode in (QUICK, DETAILED)
        for destination, why in ((B, "belongs to segment 10.0.2.0/24"), ("203.0.113.2", "is b's own address"))
    ],
    "dnat-to-network-address": [
        Ask(mode, A, B, "8080/tcp", NO, path="gw", reason="10.0.2.0 is not a host address")
        for mode in (QUICK, DETAILED)
    ],
    "ecmp-luck": [
        Ask(mode, A, f"10.0.2.{host}", "80/tcp", UNKNOWN, reason=REASON_OF_ECMP)
        for mode in (QUICK, DETAILED)
        for host in range(10, 16)
    ],
    "hairpin-reply-direct": [
        Ask(QUICK, "192.168.0.7", "198.51.100.34", "2222/tcp", YES, caveat=HAIRPIN),
        Ask(DETAILED, "192.168.0.7", "198.51.100.34", "2222/tcp", NO, reason=HAIRPIN),
        Ask(DETAILED, "8.8.8.8", "198.51.100.34", "2222/tcp", YES),
    ],
    "legacy-and-native": [Ask(QUICK, A, B, "22/tcp", NO, rule="gw/nft.rules:3"), Ask(QUICK, A, B, "443/tcp", YES)],
    "misnamed-firewall-file": [Ask(QUICK, A, B, "22/tcp", YES, caveat="gw/iptables.txt: is not read")],
    "native-ip-table": [
        Ask(mode, A, B, service, result, rule=rule)
        for mode in (QUICK, DETAILED)
        for service, result, rule in (("22/tcp", NO, "gw/nft.rules:3"), ("443/tcp", YES, ""))
    ],
    "newer-nft": [Ask(QUICK, A, B, "22/tcp", NO, rule="gw/nft.rules:8"), Ask(QUICK, A, B, "23/tcp", YES)],
    "nft-element-expires": [Ask(QUICK, A, B, "22/tcp", NO, rule="gw/nft.rules:10", caveat="to expire within")],
    "no-forwarding": [
        Ask(QUICK, A, B, "80/tcp", NO, path="srv", reason="eth0 does not forward packets (srv/netconf.json:1)"),
        Ask(DETAILED, A, B, "80/tcp", NO, path="srv", reason="eth0 does not forward packets (srv/netconf.json:1)"),
        Ask(QUICK, A, "10.0.1.1", "80/tcp", YES, path="srv"),
        Ask(DETAILED, A, "10.0.1.1", "80/tcp", YES, path="srv"),
    ],
    "not-delivered": [
        Ask(mode, A, B, "443/tcp", NO, path="r1", reason="(route 10.0.2.0/24 dev core, r1/routes.json:18)")
        for mode in (QUICK, DETAILED)
    ],
    "probe-poisons-nft-set": [
        Ask(QUICK, A, B, "443/tcp", YES),
        Ask(QUICK, A, B, "23/tcp", NO, rule="gw/nft.rules:11"),
        Ask(QUICK, A, B, "443/tcp", YES),
        Ask(DETAILED, A, B, "23/tcp", NO, rule="gw/nft.rules:11"),
        Ask(DETAILED, A, B, "443/tcp", YES),
    ],
    "probe-poisons-recent": [Ask(mode, A, B, "22/tcp", YES) for mode in (QUICK, DETAILED) * 4],
    "service-random-endpoints": [
        Ask(mode, "192.0.2.50", "192.0.2.10", "30080/tcp", YES) for mode in (QUICK, DETAILED) * 4
    ],
    "nft-flags-owner": [Ask(mode, A, B, "22/tcp", NO, rule="gw/nft.rules:5") for mode in (QUICK, DETAILED)],
    "onlink-flannel": [
        Ask(mode, "10.244.0.5", "10.244.1.5", "80/tcp", YES, path="n0 n1") for mode in (QUICK, DETAILED)
    ],
    "onlink-gateway-cloud": [
        ask
        for mode in (QUICK, DETAILED)
        for ask in (
            Ask(mode, A, "198.51.100.7", "443/tcp", YES, path="vm"),
            Ask(mode, "198.51.100.7", "203.0.113.10", "22/tcp", YES, path="vm"),
            Ask(mode, "198.51.100.7", A, "22/tcp", YES, path="vm"),
        )
    ],
    "vrrp-backup-asked": [
        Ask(QUICK, A, "203.0.113.5", "443/tcp", YES, path="fw2"),
        Ask(DETAILED, A, "203.0.113.5", "443/tcp", UNKNOWN, reason="NO for fw1:wan (reply)", path="fw2"),
    ],
    "two-subnets-one-interface": [
        ask
        for mode in (QUICK, DETAILED)
        for ask in (
            Ask(mode, A, "10.0.5.10", "22/tcp", NO, rule="gw/iptables.rules:3", path="gw"),
            Ask(mode, A, "10.0.5.10", "80/tcp", YES, path="gw"),
            Ask(mode, A, "10.0.1.20", "22/tcp", YES, reason="no router is between them"),
            Ask(mode, A, "10.0.5.1", "22/tcp", YES, path="gw"),
        )
    ],
}
"""Case -> its questions."""


def check(case: str) -> subprocess.CompletedProcess[str]:
    """`facts check`."""
    command = [sys.executable, "-m", "netlab", "--check", str(CASES / case)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("case", REFUSED)
def test_facts_that_are_refused(case: str) -> None:
    done = check(case)
    assert done.returncode == 2
    assert REFUSED[case] in done.stderr
    assert done.stderr.count(f"{case}/") + done.stderr.count("\n") <= 3, "one cause, one message"


@pytest.mark.parametrize("case", sorted({*CHECKED, *ASKED}))
def test_facts_that_are_good(case: str) -> None:
    done = check(case)
    assert done.returncode == 0, done.stderr
    assert CHECKED.get(case, "") in done.stdout


@pytest.mark.parametrize("case", ASKED)
def test_answers(case: str, bench_of: Callable[[Path], Bench]) -> None:
    bench = bench_of(CASES / case)
    wrong = [why for ask in ASKED[case] for why in differences(ask, bench)]
    assert wrong == []


def differences(ask: Ask, bench: Bench) -> list[str]:
    """How the answer differs from the right one."""
    put = bench.quick if ask.mode == QUICK else bench.detailed
    document = put(ask.source, ask.destination, ask.services)
    (service,) = document["services"]
    found = {
        "result": service["result"],
        "rule": rule_of(document),
        "reply_rule": reply_rule_of(service),
        "path": " ".join(service["path"]),
    }
    wrong = [f"{ask}: {name} is {value!r}" for name, value in found.items() if getattr(ask, name) not in ("", value)]
    if ask.reason not in (service["reason"] or ""):
        wrong.append(f"{ask}: reason is {service['reason']!r}")
    if ask.caveat and not any(ask.caveat in caveat for caveat in document["caveats"]):
        wrong.append(f"{ask}: caveats are {document['caveats']}")
    if ask.result == UNKNOWN and not service["reason"]:
        wrong.append(f"{ask}: an UNKNOWN without a reason")
    return wrong


def rule_of(document: dict[str, Any]) -> str:
    """File and line of the first rule that blocked."""
    cells = [cell for router in document["routers"] for cell in router["services"]]
    rules = [cell["rule"] for cell in cells if cell["result"] == NO and cell.get("rule")]
    return f"{rules[0]['file']}:{rules[0]['line']}" if rules else ""


def reply_rule_of(service: dict[str, Any]) -> str:
    """File and line of the rule that blocked the reply of a detailed test."""
    hops = [hop for hop in service.get("hops", ()) if hop["direction"] == "reply" and hop["result"] == NO]
    return f"{hops[0]['rule']['file']}:{hops[0]['rule']['line']}" if hops and hops[0]["rule"] else ""


@pytest.mark.parametrize("mode", [QUICK, DETAILED])
def test_both_variants_of_iptables_on_one_router(tmp_path: Path, bench_of: Callable[[Path], Bench], mode: str) -> None:
    def saved(variant: str, port: int) -> str:
        head = f"# Generated by iptables-save v1.8.9{variant} on Fri Nov 27 10:00:00 2026\n*filter\n"
        chains = "".join(f":{chain} ACCEPT [0:0]\n" for chain in ("INPUT", "FORWARD", "OUTPUT"))
        return f"{head}{chains}-A FORWARD -p tcp -m tcp --dport {port} -j DROP\nCOMMIT\n"

    interfaces = {"lan": "10.0.1.1/24", "srv": "10.0.2.1/24"}
    write_router(tmp_path, "gw", interfaces, iptables=saved(" (nf_tables)", 22))
    (tmp_path / "gw" / "iptables-legacy.rules").write_text(saved("", 23))
    bench = bench_of(tmp_path)
    put = bench.quick if mode == QUICK else bench.detailed
    document = put(A, B, "22/tcp,23/tcp,24/tcp")
    assert [service["result"] for service in document["services"]] == [NO, NO, YES]
    assert rule_of(document) == "gw/iptables.rules:6"
