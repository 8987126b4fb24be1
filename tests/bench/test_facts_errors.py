"""Invalid facts: each error names router, file and line, and no bench comes up half-built."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netlab.errors import BuildError
from netlab.facts import reader
from netlab.kernel import namespaces
from netlab.live.build import build
from tests.bench.conftest import Bench
from tests.bench.isolated import in_a_child
from tests.bench.small import write_router
from tests.bench.test_small_networks import A, B, answer, line_of_two
from tests.support.patience import patience

Start = Callable[[Path], Bench]
Spoil = Callable[[Path], object]


def check(network: Path, *, option: str = "--check") -> tuple[int, str, str]:
    """`python -m netlab --check`: exit code, output, error output."""
    command = [sys.executable, "-m", "netlab", option, str(network)]
    if option == "--network":
        command += ["--socket", f"@reachq-facts-{os.getpid()}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience(60), check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def write(file: str, text: str) -> Spoil:
    return lambda network: (network / file).write_text(text)


def append(file: str, text: str) -> Spoil:
    def spoil(network: Path) -> None:
        path = network / file
        path.write_text((path.read_text() if path.exists() else "") + text)

    return spoil


def replace(file: str, old: str, new: str) -> Spoil:
    def spoil(network: Path) -> None:
        text = (network / file).read_text()
        assert old in text
        (network / file).write_text(text.replace(old, new, 1))

    return spoil


def route(entry: dict[str, Any]) -> Spoil:
    """Add a route, on line 4 of r1's file."""
    return replace("r1/routes.json", "}]", "},\n" + json.dumps(entry) + "]")


def rule(entry: dict[str, Any]) -> Spoil:
    return write("r1/rules.json", "[\n" + json.dumps(entry) + "\n]\n")


FILTER = "*filter\n:FORWARD ACCEPT [0:0]\n{}\nCOMMIT\n"
TABLE: dict[str, tuple[Spoil, str]] = {
    # what is wrong: (how to make it so, how the error begins)
    "no addr.json": (
        lambda n: (n / "r1/addr.json").unlink(),
        "r1/addr.json: is missing (create it with `ip -j addr`)",
    ),
    "no routes.json": (lambda n: (n / "r2/routes.json").unlink(), "r2/routes.json: is missing"),
    "broken JSON": (replace("r1/routes.json", "10.0.2.0/24", '"'), "r1/routes.json:3: is not valid JSON"),
    "cut off JSON": (write("r1/addr.json", '[{"ifname": "lo"},\n{"ifname"'), "r1/addr.json:2: is not valid JSON"),
    "plain output of ip": (write("r1/routes.json", "default via 10.0.0.1\n"), "r1/routes.json:1: is not a JSON array"),
    "an object": (write("r1/routes.json", "{}"), "r1/routes.json:1: is not a JSON array"),
    "an array of words": (write("r1/routes.json", '[{},\n"default"]'), 'r1/routes.json:2: holds "default"'),
    "two arrays": (append("r1/routes.json", "\n[]\n"), "r1/routes.json:5: has text after the closing ']'"),
    "not UTF-8": (lambda n: (n / "r1/nft.rules").write_bytes(b"# ok\n\xff"), "r1/nft.rules:2: is not UTF-8 text"),
    "a router's name": (lambda n: (n / "r1").rename(n / "r 1"), "r 1: a router's name may contain only letters"),
    "flags not a list": (
        replace("r1/addr.json", '"flags": ["LOOPBACK"', '"flags": 1, "x": ["LOOPBACK"'),
        "r1/addr.json:1: entry 1, lo: flags",
    ),
    "an address": (replace("r1/addr.json", "10.0.1.1", "10.0.1"), "r1/addr.json:2: lan: unusable address"),
    "a prefix length": (replace("r1/addr.json", '"prefixlen": 24', '"prefixlen": 33'), "r1/addr.json:2: lan: unusable"),
    "an interface's name": (
        replace("r1/addr.json", '"ifname": "up"', '"ifname": "a/b"'),
        "r1/addr.json:3: entry 3: ifname 'a/b'",
    ),
    "a name too long": (
        replace("r1/addr.json", '"ifname": "up"', f'"ifname": "{"x" * 16}"'),
        "r1/addr.json:3: entry 3: ifname",
    ),
    "an interface twice": (
        replace("r1/addr.json", '"ifname": "up"', '"ifname": "lan"'),
        "r1/addr.json:3: entry 3: interface lan",
    ),
    "an address of two routers": (
        replace("r2/addr.json", "10.9.0.2", "10.9.0.1"),
        "r2/addr.json:2: 10.9.0.1 on up is also on r1:up",
    ),
    "an unknown device": (
        route({"dst": "10.5.0.0/16", "dev": "eth9"}),
        "r1/routes.json:4: entry 4, 10.5.0.0/16 dev eth9: device eth9 is not in addr.json",
    ),
    "a gateway out of reach": (
        route({"dst": "10.5.0.0/16", "gateway": "172.16.0.1", "dev": "up", "flags": []}),
        "r1/routes.json:4: `ip route add unicast 10.5.0.0/16 via 172.16.0.1 dev up`: Nexthop has invalid gateway",
    ),
    "a destination": (
        route({"dst": "10.5.0.0/99", "dev": "up"}),
        "r1/routes.json:4: `ip route add unicast 10.5.0.0/99 dev up`",
    ),
    "no destination": (route({"dev": "up"}), "r1/routes.json:4: entry 4: is not what `ip -j` prints"),
    "two words": (
        route({"dst": "10.5.0.0/16 dev lo", "dev": "up"}),
        "r1/routes.json:4: entry 4, 10.5.0.0/16 dev lo dev up: dst '10.5.0.0/16 dev lo' is not an IPv4 network",
    ),
    "a tunnel's route": (
        route({"dst": "10.5.0.0/16", "encap": "ip", "dev": "up"}),
        "r1/routes.json:4: entry 4, 10.5.0.0/16 dev up: encap is not supported",
    ),
    "an IPv6 next hop": (
        route({"dst": "10.5.0.0/16", "via": {"family": "inet6", "host": "fe80::1"}, "dev": "up"}),
        "r1/routes.json:4: entry 4, 10.5.0.0/16 dev up: an IPv6 next hop",
    ),
    "a route twice": (
        route({"dst": "10.0.2.0/24", "gateway": "10.9.0.2", "dev": "up"}),
        "r1/routes.json:4: `ip route add",
    ),
    "a number for a text": (
        route({"dst": True, "dev": "up"}),
        "r1/routes.json:4: entry 4, True dev up: dst is true or false",
    ),
    "a rule's type": (
        rule({"priority": 5, "src": ["all"], "table": "main"}),
        "r1/rules.json:2: entry 1, priority 5 from ['all']: src is an array",
    ),
    "a rule with l3mdev": (
        rule({"priority": 5, "src": "all", "l3mdev": None}),
        "r1/rules.json:2: entry 1, priority 5 from all: l3mdev is not supported",
    ),
    "a rule without an end": (
        rule({"priority": 5, "src": "all"}),
        "r1/rules.json:2: entry 1, priority 5 from all: the rule does not say what to do",
    ),
    "a rule's port": (
        rule({"priority": 5, "src": "all", "ipproto": "tcp", "dport": 70000, "table": "main"}),
        "r1/rules.json:2: entry 1, priority 5 from all: dport is not in the range 1-65535",
    ),
    "an unknown ipset": (
        write("r1/iptables.rules", FILTER.format("-A FORWARD -m set --match-set nobody src -j DROP")),
        "r1/iptables.rules:3: `-A FORWARD -m set --match-set nobody src -j DROP`",
    ),
    "an unknown chain": (write("r1/iptables.rules", FILTER.format("-A FORWARD -j nowhere")), "r1/iptables.rules:"),
    "a rule for no chain": (write("r1/iptables.rules", FILTER.format("-A nowhere -j DROP")), "r1/iptables.rules:"),
    "no COMMIT": (write("r1/iptables.rules", "*filter\n-A FORWARD -j DROP\n"), "r1/iptables.rules"),
    "a bad set": (
        write("r1/ipset.rules", "create a hash:ip\nadd a 10.0.0.300\n"),
        "r1/ipset.rules:2: `add a 10.0.0.300`",
    ),
    "a set's kind": (write("r1/ipset.rules", "create a hash:nonsense\n"), "r1/ipset.rules:1: `create a hash:nonsense`"),
    "nft's grammar": (
        write("r1/nft.rules", "table ip t {\n\tchain c {\n\t\ttcp dport ssh drp\n\t}\n}\n"),
        "r1/nft.rules:3: `tcp dport ssh drp`",
    ),
    "nft, an unknown set": (
        write("r1/nft.rules", "table ip t {\n\tchain c {\n\t\tip saddr @no drop\n\t}\n}\n"),
        "r1/nft.rules:3",
    ),
    "nft, unreadable matches": (
        write("r1/nft.rules", "table ip t {\n\tchain c {\n\t\ttcp dport 80 # xt_string drop\n\t}\n}\n"),
        "r1/nft.rules:3: `tcp dport 80 # xt_string drop` cannot be read back by nft; add iptables.rules",
    ),
    "iptables' table without iptables.rules": (
        write(
            "r1/nft.rules",
            "# Warning: table ip filter is managed by iptables-nft, do not touch!\ntable ip filter {\n"
            '\tchain FORWARD {\n\t\txt match "string" drop\n\t}\n}\n',
        ),
        'r1/nft.rules:4: `xt match "string" drop` cannot be read back by nft; add iptables.rules',
    ),
}


TABLE |= {
    # Dumps that were not: what they did before is in the comment.
    "a byte order mark": (  # "is not a JSON array"
        lambda n: (n / "r1/addr.json").write_bytes(b"\xef\xbb\xbf" + (n / "r1/addr.json").read_bytes()),
        "r1/addr.json:1: begins with a byte order mark: save it as UTF-8 without one",
    ),
    "PowerShell's default": (  # "is not UTF-8 text"
        lambda n: (n / "r1/routes.json").write_bytes((n / "r1/routes.json").read_text().encode("utf-16")),
        "r1/routes.json:1: is UTF-16 text: save it as UTF-8",
    ),
    "nft, an include": (  # the message quoted the file that was included
        write("r1/nft.rules", 'include "/etc/hostname"\ntable inet f {\n}\n'),
        'r1/nft.rules:1: `include "/etc/hostname"`: `include` reads or defines something',
    ),
    "nft, a NUL": (  # accepted, but the bench ended at the first request
        write("r1/nft.rules", "table inet f {\n}\n\0"),
        "r1/nft.rules:3: contains a NUL, which is not text",
    ),
    "nft, a script that flushes": (  # accepted, but the result was YES for what iptables.rules blocks
        write("r1/nft.rules", "#!/usr/sbin/nft -f\nflush ruleset\ntable inet f {\n}\n"),
        "r1/nft.rules:2: `flush ruleset`: `nft list ruleset` prints tables only",
    ),
    "an unknown target": (  # the message pointed at COMMIT
        write("r1/iptables.rules", "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp -j FULLCONENAT\nCOMMIT\n"),
        "r1/iptables.rules:3: `-A PREROUTING -p udp -j FULLCONENAT`: FULLCONENAT is neither a known target",
    ),
}


@pytest.mark.parametrize("fault", TABLE)
def test_a_fault_is_named_with_file_and_line(fault: str, tmp_path: Path) -> None:
    line_of_two(tmp_path)
    spoil, message = TABLE[fault]
    spoil(tmp_path)
    code, out, output = check(tmp_path)
    assert (code, out) == (2, ""), (out, output)
    assert output.startswith("bench: the facts cannot be used:\n")
    assert any(line.startswith(message) for line in output.splitlines()), output


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    line_of_two(tmp_path)
    route({"dst": "10.5.0.0/16", "gateway": "172.16.0.1", "dev": "up", "flags": []})(tmp_path)
    write("r1/iptables.rules", FILTER.format("-A FORWARD -m set --match-set nowhere src -j DROP"))(tmp_path)
    write("r2/nft.rules", "table ip t { chain c { nonsense; }; }\n")(tmp_path)
    code, _, output = check(tmp_path)
    assert code == 2
    assert [line.split(":")[0] for line in output.splitlines()[1:] if line[:1] == "r"] == [
        "r1/routes.json",
        "r1/iptables.rules",
        "r2/nft.rules",
    ]


def test_a_bench_does_not_come_up_on_such_facts(tmp_path: Path) -> None:
    line_of_two(tmp_path)
    route({"dst": "10.5.0.0/16", "gateway": "172.16.0.1", "dev": "up", "flags": []})(tmp_path)
    code, out, output = check(tmp_path, option="--network")
    assert (code, out) == (2, "")
    assert "r1/routes.json:4" in output


def test_folders_that_hold_no_network(tmp_path: Path) -> None:
    assert "no such folder" in check(tmp_path / "none")[2]
    assert "holds no router folder" in check(tmp_path)[2]
    (tmp_path / "file").write_text("")
    assert check(tmp_path / "file")[0] == 2


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    line_of_two(tmp_path)
    (tmp_path / "r1/routes.json").chmod(0)
    assert "r1/routes.json: cannot be read: Permission denied" in check(tmp_path)[2]


def test_a_folder_in_a_file_s_place(tmp_path: Path) -> None:
    line_of_two(tmp_path)
    (tmp_path / "r1/nft.rules").mkdir()
    assert "r1/nft.rules: cannot be read: Is a directory" in check(tmp_path)[2]


def test_what_is_not_about_ipv4_is_passed_over(tmp_path: Path, bench_of: Start) -> None:
    line_of_two(tmp_path)
    six = {"dst": "2001:db8::/64", "dev": "up", "protocol": "kernel", "metric": 256, "flags": [], "pref": "medium"}
    route(six)(tmp_path)
    address = {"family": "inet6", "local": "2001:db8::1", "prefixlen": 64, "scope": "global"}
    replace("r1/addr.json", '"addr_info": [{', f'"addr_info": [{json.dumps(address)}, {{')(tmp_path)
    write(
        "r1/nft.rules", "table ip6 t {\n\tchain c {\n\t\ttype filter hook forward priority 0; policy drop;\n\t}\n}\n"
    )(tmp_path)
    assert bench_of(tmp_path).quick(A, B, "80/tcp")["verdict"] == "YES"


def test_names_that_are_words_of_ip(tmp_path: Path, bench_of: Start) -> None:
    names = [
        "up",
        "dev",
        "via",
        "type",
        "peer",
        "name",
        "eth0.10",
        "br-lan",
        "wg0@home",
        "a+b",
        "ä",
        "netns",
        "p1",
        "s0",
    ]
    interfaces = {name: f"10.7.{number}.1/24" for number, name in enumerate(names)}
    write_router(tmp_path, "r1", interfaces, filter_="-P FORWARD DROP\n-A FORWARD -i wg0@home -o eth0.10 -j ACCEPT")
    bench = bench_of(tmp_path)
    for number, name in enumerate(names):
        result = bench.quick(f"10.7.{number}.9", "10.7.6.9" if name != "eth0.10" else "10.7.0.9", "80/tcp")
        assert result["routers"][0]["in"] == name
        assert result["verdict"] == ("YES" if name == "wg0@home" else "NO")


def test_addresses_of_every_kind(tmp_path: Path, bench_of: Start) -> None:
    """A /32 on lo, a second address in another subnet, a point-to-point peer."""
    write_router(tmp_path, "r1", {"lan": "10.0.1.1/24", "ppp0": "10.9.0.1/32"}, "10.0.2.0/24 dev ppp0 scope link")
    write_router(tmp_path, "r2", {"lan": "10.0.2.1/24", "ppp0": "10.9.0.2/32"}, "10.0.1.0/24 dev ppp0 scope link")
    for router, peer in (("r1", "10.9.0.2"), ("r2", "10.9.0.1")):
        path = tmp_path / router / "addr.json"
        entries = json.loads(path.read_text())
        for entry in entries:
            if entry["ifname"] == "ppp0":
                entry["flags"] = ["POINTOPOINT", "NOARP", "UP", "LOWER_UP"]
                entry["addr_info"][0]["address"] = peer
            if entry["ifname"] == "lo":
                info = dict(entry["addr_info"][0], local=f"10.255.0.{router[1]}", prefixlen=32)
                entry["addr_info"].append(info)
            if entry["ifname"] == "lan" and router == "r2":
                entry["addr_info"].append(dict(entry["addr_info"][0], local="10.0.3.1", secondary=True))
        path.write_text(json.dumps(entries, indent=1))
        routes = tmp_path / router / "routes.json"
        peered = {"dst": peer, "dev": "ppp0", "protocol": "kernel", "scope": "link", "prefsrc": f"10.9.0.{router[1]}"}
        kept = [r for r in json.loads(routes.read_text()) if r["dst"] != f"10.9.0.{router[1]}/32"]
        more = [{"dst": "10.0.3.0/24", "dev": "ppp0" if router == "r1" else "lan", "scope": "link"}]
        more.append({"dst": f"10.255.0.{3 - int(router[1])}", "dev": "ppp0", "scope": "link"})
        routes.write_text(json.dumps([*kept, peered, *more]))
    bench = bench_of(tmp_path)
    assert answer(bench.quick(A, B, "80/tcp")) == {"80/tcp": ("YES", "r1 r2", "")}
    assert answer(bench.quick(A, "10.0.3.9", "80/tcp")) == {"80/tcp": ("YES", "r1 r2", "")}
    for own in ("10.0.3.1", "10.255.0.2", "10.9.0.2"):
        result = bench.quick(A, own, "80/tcp")
        assert answer(result) == {"80/tcp": ("YES", "r1 r2", "")}, result
        assert "INPUT" in result["reason"]


def test_line_ends_of_windows(tmp_path: Path, bench_of: Start) -> None:
    line_of_two(
        tmp_path,
        {
            "filter_": "-P FORWARD ACCEPT\n-A FORWARD -m set --match-set bad src -j DROP",
            "ipset": "create bad hash:ip\nadd bad 10.0.1.66",
            "nft": "table ip t {\nchain c {\ntype filter hook forward priority 5;\ntcp dport 23 drop\n}\n}",
        },
    )
    for path in (tmp_path / "r1").iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    bench = bench_of(tmp_path)
    assert [s["result"] for s in bench.quick(A, B, "22/tcp,23/tcp")["services"]] == ["YES", "NO"]
    assert bench.quick("10.0.1.66", B, "22/tcp")["verdict"] == "NO"


def test_what_nft_shows_of_iptables_is_not_loaded_twice(tmp_path: Path, bench_of: Start) -> None:
    """From the real tools: `nft list ruleset` on a machine whose iptables is the nf_tables variant."""
    rules = FILTER.format("-A FORWARD -p tcp -m tcp --tcp-option 2 -m string --string x --algo bm -j DROP")
    rules += "\n*nat\n-A POSTROUTING -o up -p udp -j MASQUERADE\nCOMMIT\n"
    own = "table inet mine {\nchain c {\ntype filter hook forward priority 5; policy accept;\ntcp dport 23 drop\n}\n}\n"
    script = (
        "iptables-nft-restore && nft -f /dev/fd/3 && iptables-nft-save 2>/dev/null && echo ---- && nft list ruleset"
    )
    read, write_end = os.pipe()
    os.write(write_end, own.encode())
    os.close(write_end)
    shown = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "bash", "-c", f"exec 3<&{read}; {script}"],
        input=rules,
        capture_output=True,
        text=True,
        check=True,
        pass_fds=[read],
    ).stdout
    os.close(read)
    saved, _, listed = shown.partition("----\n")
    assert "table ip filter" in listed
    line_of_two(
        tmp_path, {"iptables": saved, "nft": listed}, {"filter_": "-P FORWARD ACCEPT\n-A FORWARD -s 10.9.0.1 -j DROP"}
    )
    result = bench_of(tmp_path).quick(A, B, "22/tcp,23/tcp,53/udp")
    assert answer(result) == {
        "22/tcp": ("YES", "r1 r2", ""),
        "23/tcp": ("NO", "r1 r2", "r1"),
        "53/udp": ("NO", "r1 r2", "r2"),
    }


def test_facts_behind_symbolic_links(tmp_path: Path, bench_of: Start) -> None:
    """Links within the network's folder are followed; test_hostile_facts.py has those that lead out."""
    line_of_two(tmp_path)
    (tmp_path / ".kept").mkdir()
    (tmp_path / "r1").rename(tmp_path / ".kept" / "r1")
    (tmp_path / "r1").symlink_to(".kept/r1")
    for file in list((tmp_path / "r2").iterdir()):
        file.rename(tmp_path / ".kept" / f"r2-{file.name}")
        file.symlink_to(f"../.kept/r2-{file.name}")
    assert bench_of(tmp_path).quick(A, B, "80/tcp")["verdict"] == "YES"
    (tmp_path / "r2" / "routes.json").unlink()
    (tmp_path / "r2" / "routes.json").symlink_to("nowhere")
    assert "r2/routes.json: is a link to a file that does not exist" in check(tmp_path)[2]


def test_facts_of_a_great_router(tmp_path: Path, bench_of: Start) -> None:
    """A set of 100,000 entries, 5,000 iptables rules and 2,000 routes come up in seconds."""
    sets = ["create great hash:net family inet hashsize 65536 maxelem 200000"]
    sets += [f"add great 172.{16 + n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(100_000)]
    rules = "\n".join(f"-A FORWARD -s 172.31.{n // 250}.{n % 250} -p tcp --dport {n + 1} -j DROP" for n in range(5_000))
    line_of_two(
        tmp_path,
        {"ipset": "\n".join(sets), "filter_": f"{rules}\n-A FORWARD -m set --match-set great src -j DROP"},
    )
    extra = [{"dst": f"100.{n // 256}.{n % 256}.0/24", "gateway": "10.9.0.2", "dev": "up"} for n in range(2_000)]
    replace("r1/routes.json", "}]", "},\n" + ",\n".join(map(json.dumps, extra)) + "]")(tmp_path)
    started = time.monotonic()
    bench = bench_of(tmp_path)
    assert time.monotonic() - started < patience(30)
    assert bench.quick(A, B, "80/tcp")["verdict"] == "YES"


def test_a_refused_network_leaves_no_descriptors(tmp_path: Path) -> None:
    """Of two routers one is refused; the namespaces and sockets of both are closed."""
    write_router(tmp_path, "good", {"lan": "10.0.1.1/24"})
    rules = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m set --match-set missing src -j DROP\nCOMMIT\n"
    write_router(tmp_path, "refused", {"lan": "10.0.1.2/24"}, iptables=rules)

    def inside() -> str:
        namespaces.isolate()
        gc.disable()  # the garbage collector would close a leaked socket
        before = sorted(os.listdir("/proc/self/fd"))
        with pytest.raises(BuildError) as refused:
            build(reader.load(tmp_path))
        assert sorted(os.listdir("/proc/self/fd")) == before, refused.value
        return ""

    in_a_child(inside)
