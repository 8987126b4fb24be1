"""What the bench loads without a tool is what the tool would load.

This is the bench's own table, common lines of `ip`, and long lists of entries of an ipset.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from importlib.resources import files

import pytest

from netlab.facts.ip_batch import Command
from netlab.facts.reader import RouterFacts
from netlab.kernel import ip_requests, namespaces
from netlab.kernel.confined import Tools
from netlab.live.load import bench_table, load_firewall, load_text, run_batch, without_ip
from netlab.rules.ipset_rewrites import LONG_LIST, long_lists
from netlab.rules.uncertain import NOTHING
from tests.bench.isolated import in_a_child

LINES = [
    *("link set dev lo up", "addr add 10.255.0.1/32 dev lo", "link set dev d0 up", "link set dev d1 up"),
    *("addr add 10.0.1.1/24 dev d0 noprefixroute", "addr add 10.0.2.1/24 dev d1", "addr add 10.0.9.1/31 dev d1"),
    "route add unicast 10.0.1.0/24 scope link src 10.0.1.1 dev d0",
    "route add unicast 10.0.1.0/24 metric 100 scope link src 10.0.1.1 dev d0",
    *("route add unicast 10.5.0.0/16 via 10.0.1.9 dev d0", "route add unicast 10.6.0.1 via 10.0.2.9 dev d1"),
    *("route add unicast default metric 50 via 10.0.2.254 dev d1", "route add unicast default via 10.0.1.254 dev d0"),
    *("route add unicast 10.7.0.0/16 dev d1", "route add unicast 0.0.0.0/1 src 10.0.1.1 via 10.0.1.8 dev d0"),
]
OTHERS = [
    *("route add blackhole 10.9.0.0/16", "route add unicast 10.9.0.0/16 table 7 via 10.0.1.9 dev d0", "rule flush"),
    *("addr add 127.0.0.2/8 dev lo", "addr add 10.1.1.1 peer 10.1.1.2/32 dev d0", "link set dev d9 up"),
    *("addr add 10.0.1.1/33 dev d0", "addr add 10.0.1.01/24 dev d0", "route add unicast 10.0.0.0/8 via 10.0.1.9"),
    *("route add unicast 10.0.0.256 via 10.0.1.9 dev d0", "route add unicast 10.5.0.0/16 via 10.0.1.9 dev d0 onlink"),
]


def shown() -> str:
    """Links, addresses and routes of the namespace, without what differs between equal ones."""
    outputs = [
        subprocess.run(["ip", "-j", "-d", *words], capture_output=True, text=True, check=True).stdout
        for words in (("addr", "show"), ("route", "show", "table", "all"))
    ]
    text = json.dumps([json.loads(output) for output in outputs])
    # The kernel sets the operational state a moment later, from a queue of its own.
    return re.sub(r'"address": "[0-9a-f:]{17}"|"operstate": "[A-Z]+"', "", text)


def links() -> int:
    """Return a namespace with the links d0 and d1."""
    namespace = namespaces.create(namespaces.ROUTER_SYSCTLS)
    with namespaces.entered(namespace):
        subprocess.run(["ip", "link", "add", "d0", "type", "veth", "peer", "name", "d1"], check=True)
    return namespace


def test_requests_do_what_ip_does() -> None:
    def body() -> str:
        namespaces.isolate()
        ours, theirs, refused = links(), links(), links()
        commands = [Command(line, "f", number) for number, line in enumerate(LINES)]
        again = [*commands, commands[-1], *commands[:1]]
        with Tools() as tools:
            with namespaces.entered(ours):
                assert without_ip(commands) == []
            assert run_batch(tools, commands, theirs) == []
            with namespaces.entered(refused):
                assert without_ip(again) == again[-2:]
            problems = run_batch(tools, again[-2:], refused)
        assert [problem.message for problem in problems] == [f"`ip {LINES[-1]}`: File exists"]
        outputs = []
        for namespace in (ours, theirs, refused):
            with namespaces.entered(namespace):
                outputs.append(shown())
                assert all(ip_requests.request(line, socket.if_nametoindex) for line in LINES)
                assert not any(ip_requests.request(line, socket.if_nametoindex) for line in OTHERS)
        assert outputs[0] == outputs[1] == outputs[2]
        assert "10.0.1.254" in outputs[0]
        return ""

    in_a_child(body)


def test_the_copy_of_the_bench_s_table_is_like_the_table() -> None:
    def body() -> str:
        namespaces.isolate()
        loaded, copied = namespaces.create({}), namespaces.create({})
        with Tools() as tools:
            table = bench_table(tools)
            assert load_text(tools, "nft.rules", (files("netlab.live") / "bench.nft").read_text(), "f", loaded) == []
        outputs = []
        for namespace in (loaded, copied):
            with namespaces.entered(namespace):
                if namespace == copied:
                    table.create()
                listing = ["nft", "--debug=netlink", "list", "ruleset"]
                outputs.append(subprocess.run(listing, capture_output=True, text=True, check=True))
        assert (outputs[0].stdout, outputs[0].stderr) == (outputs[1].stdout, outputs[1].stderr)
        assert "update @left" in outputs[0].stdout
        assert "dynset" in outputs[0].stdout + outputs[0].stderr
        return ""

    in_a_child(body)


def sets(last: str = "") -> str:
    """Long lists of addresses and of subnets, and sets that are not long, or not plain."""
    many = [f"10.{n >> 8}.{n & 255}.1" for n in range(LONG_LIST + 1)]
    return "\n".join(
        [
            "create short hash:ip family inet hashsize 1024 maxelem 65536",
            "add short 10.0.0.1",
            "create addresses hash:ip family inet hashsize 1024 maxelem 65536",
            *(f"add addresses {address}" for address in many),
            "create subnets hash:net family inet hashsize 1024 maxelem 65536",
            *(f"add subnets {address}/{24 + n % 9}" for n, address in enumerate(many)),
            "add subnets 10.200.0.0/16 nomatch",
            "create both list:set size 8",
            "add both addresses",
            "add both short",
            *([last] if last else []),
            "",
        ]
    )


def test_long_lists_of_an_ipset_are_loaded_as_ipset_loads_them() -> None:
    def body() -> str:
        namespaces.isolate()
        ours, theirs = namespaces.create({}), namespaces.create({})
        router = RouterFacts("r1", (), (), None, "", sets(), "")
        assert set(long_lists(sets())[1]) == {"addresses", "subnets"}
        outputs = []
        with Tools() as tools:
            assert load_firewall(tools, router, ours) == ([], NOTHING)
            assert load_text(tools, "ipset.rules", sets(), "f", theirs) == []
        for namespace in (ours, theirs):
            with namespaces.entered(namespace):
                saved = subprocess.run(["ipset", "-sorted", "save"], capture_output=True, text=True, check=True).stdout
                outputs.append(re.sub(r" (initval|hashsize) \S+", "", saved))
        assert outputs[0] == outputs[1]
        assert outputs[0].count("\n") > 2 * LONG_LIST
        return ""

    in_a_child(body)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (sets().replace("add addresses 10.0.2.1\n", "add addresses 10.0.1.1\n"), "already added"),
        (
            sets().replace("addresses hash:ip family inet hashsize 1024 maxelem 65536", "addresses hash:ip maxelem 9"),
            "full",
        ),
        (sets("add none 10.0.0.1"), "does not exist"),
    ],
)
def test_a_refused_entry_of_a_long_list_is_named_with_its_line(text: str, message: str) -> None:
    def body() -> str:
        namespaces.isolate()
        ours, theirs = namespaces.create({}), namespaces.create({})
        with Tools() as tools:
            problems, _ = load_firewall(tools, RouterFacts("r1", (), (), None, "", text, ""), ours)
            assert problems == load_text(tools, "ipset.rules", text, "r1/ipset.rules", theirs)
        assert problems[0].line > 1
        assert message in problems[0].message, problems
        return ""

    in_a_child(body)
