"""Chains with the same hook and priority: the kernel asks the newest first, and facts do not always show which it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.conftest import Bench
from tests.bench.small import write_router

Start = Callable[[Path], Bench]

DNAT = "-A PREROUTING -d 192.0.2.2/32 -p tcp -m tcp --dport {} -j DNAT --to-destination {}"
NATIVE_DNAT = "ip daddr 192.0.2.2 tcp dport {} dnat ip to {}"


def _table(name: str, hook: str, kind: str, priority: str, *rules: str) -> str:
    chain = hook.upper() if name.startswith("ip ") else f"own_{hook}"
    lines = [f"table {name} {{", f"chain {chain} {{", f"type {kind} hook {hook} priority {priority}; policy accept;"]
    return "\n".join([*lines, *rules, "}", "}", ""])


def _ruleset(*tables: str, newest: str) -> str:
    """The tables of a listing, with that of iptables as the oldest or the newest."""
    of_iptables, *others = tables
    return "".join([of_iptables, *others] if newest == "native" else [*others, of_iptables])


def _gateway(network: Path, iptables: str, nft: str) -> None:
    write_router(
        network,
        "gw",
        {"wan": "192.0.2.2/24", "lan": "10.0.1.1/24"},
        "default via 192.0.2.1 dev wan",
        iptables=iptables,
        nft=nft,
    )


def _service(
    bench: Bench, mode: str, service: str, source: str = "198.51.100.7", to: str = "192.0.2.2"
) -> dict[str, Any]:
    (answer,) = getattr(bench, mode)(source, to, service)["services"]
    return dict(answer)


@pytest.mark.parametrize("mode", ["quick", "detailed"])
@pytest.mark.parametrize("newest", ["iptables", "native"])
def test_which_dnat_comes_first_is_unknown_when_it_matters(
    tmp_path: Path, bench_of: Start, newest: str, mode: str
) -> None:
    """Docker and OpenWrt's firewall forward the same port. Fails when only one of the orders is tested."""
    saved = (
        f"*nat\n:PREROUTING ACCEPT [0:0]\n{DNAT.format(8080, '10.0.1.10:80')}\n{DNAT.format(8081, '10.0.1.10:80')}\n"
        "COMMIT\n*filter\n:FORWARD DROP [0:0]\n-A FORWARD -d 10.0.1.10/32 -j ACCEPT\n"
        "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\nCOMMIT\n"
    )
    shown = _table("ip nat", "prerouting", "nat", "-100", NATIVE_DNAT.format(8080, "10.0.1.10:80"))
    own = _table(
        "inet fw4",
        "prerouting",
        "nat",
        "dstnat",
        NATIVE_DNAT.format(8080, "10.0.1.20:80"),
        NATIVE_DNAT.format(8082, "10.0.1.20:80"),
    )
    _gateway(tmp_path, saved, _ruleset(shown, own, newest=newest))
    bench = bench_of(tmp_path)
    both = _service(bench, mode, "8080/tcp")
    assert both["result"] == "UNKNOWN"
    assert "`table ip nat`" in both["reason"]
    assert "`table inet fw4`" in both["reason"]
    assert "1 of its 2 possible outcomes give YES" in both["reason"]
    assert _service(bench, mode, "8081/tcp")["result"] == "YES"  # only iptables forwards this port
    assert _service(bench, mode, "8082/tcp")["result"] == "NO"  # only the native table forwards this port


@pytest.mark.parametrize("newest", ["iptables", "native"])
def test_the_same_masquerade_in_both_tables_is_certain(tmp_path: Path, bench_of: Start, newest: str) -> None:
    saved = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 10.0.1.0/24 -o wan -j MASQUERADE\nCOMMIT\n"
    shown = _table("ip nat", "postrouting", "nat", "100", 'oifname "wan" ip saddr 10.0.1.0/24 masquerade')
    own = _table("inet fw4", "postrouting", "nat", "100", 'oifname "wan" masquerade')
    _gateway(tmp_path, saved, _ruleset(shown, own, newest=newest))
    bench = bench_of(tmp_path)
    for mode in ("quick", "detailed"):
        assert _service(bench, mode, "443/tcp", "10.0.1.10", "198.51.100.7")["result"] == "YES"
    assert not [
        caveat for caveat in bench.quick("10.0.1.10", "198.51.100.7", "443/tcp")["caveats"] if "order" in caveat
    ]


def test_a_dnat_with_an_earlier_priority_is_certain(tmp_path: Path, bench_of: Start) -> None:
    """Two native tables at the same priority, after one that decides in any order."""
    first, *others = (
        _table(f"inet {name}", "prerouting", "nat", priority, NATIVE_DNAT.format(8080, f"10.0.1.{last}"))
        for name, priority, last in (("early", "-110", 10), ("a", "-100", 20), ("b", "-100", 30))
    )
    own = _table("inet own", "forward", "filter", "0", "ip daddr != 10.0.1.10 ip daddr 10.0.1.0/24 drop")
    _gateway(tmp_path, "", "".join([first, *others, own]))
    assert _service(bench_of(tmp_path), "quick", "8080/tcp")["result"] == "YES"


def test_the_order_of_three_tables(tmp_path: Path, bench_of: Start) -> None:
    tables = [
        _table(f"inet {name}", "prerouting", "nat", "-100", NATIVE_DNAT.format(8080, f"10.0.1.{last}"))
        for name, last in (("a", 10), ("b", 20), ("c", 30))
    ]
    own = _table("inet own", "forward", "filter", "0", "ip daddr { 10.0.1.20, 10.0.1.30 } drop")
    _gateway(tmp_path, "", "".join([*tables, own]))
    answer = _service(bench_of(tmp_path), "quick", "8080/tcp")
    assert answer["result"] == "UNKNOWN"
    assert "`table inet a`" in answer["reason"]


def test_a_connection_to_one_of_two_hosts_is_unknown(tmp_path: Path, bench_of: Start) -> None:
    """The first packet arrives with any order, at different hosts; only one of the connections was made."""
    tables = [
        _table(f"inet {name}", "prerouting", "nat", "-100", NATIVE_DNAT.format(8080, f"10.0.1.{last}"))
        for name, last in (("a", 10), ("b", 20))
    ]
    _gateway(tmp_path, "", "".join(tables))
    bench = bench_of(tmp_path)
    quick = bench.quick("198.51.100.7", "192.0.2.2", "8080/tcp")
    assert quick["verdict"] == "YES"
    assert any("where depends on the order of" in caveat for caveat in quick["caveats"])
    assert _service(bench, "detailed", "8080/tcp")["result"] == "UNKNOWN"


@pytest.mark.parametrize(("newest", "result"), [("iptables", "NO"), ("native", "YES")])
def test_chains_with_the_same_priority_are_asked_in_the_order_of_the_kernel(
    tmp_path: Path, bench_of: Start, newest: str, result: str
) -> None:
    """The chain that was created last is asked first, and sets the mark."""
    saved = (
        "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m mark --mark 0x0 -j MARK --set-xmark 0x1/0xffffffff\n"
        "COMMIT\n*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m mark --mark 0x1 -j DROP\nCOMMIT\n"
    )
    shown = _table("ip mangle", "prerouting", "filter", "-150", "meta mark 0x00000000 counter meta mark set 0x1")
    own = _table("inet own", "prerouting", "filter", "mangle", "meta mark 0x00000000 meta mark set 0x00000002")
    _gateway(tmp_path, saved, _ruleset(shown, own, newest=newest))
    assert _service(bench_of(tmp_path), "quick", "443/tcp", "198.51.100.7", "10.0.1.10")["result"] == result
