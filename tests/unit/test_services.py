"""The service syntax: tables of valid and invalid input, and properties over any input."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import BadInput
from ledger.runs.run import Service
from ledger.runs.services import SERVICES_MAX, look_up, parse_services


def texts(given: object, default: str = "tcp") -> list[str]:
    return [str(service) for service in parse_services(given, default)]


RIGHT = [
    ("22", ["22/tcp"]),
    ("80/tcp", ["80/tcp"]),
    ("53/udp", ["53/udp"]),
    ("53/UDP", ["53/udp"]),
    ("icmp", ["icmp"]),
    ("ICMP", ["icmp"]),
    ("ping", ["icmp"]),
    ("tcp/443", ["443/tcp"]),
    ("UDP/53, tcp/8000-8001, tcp/https", ["53/udp", "8000/tcp", "8001/tcp", "443/tcp"]),
    ("1,65535", ["1/tcp", "65535/tcp"]),
    ("8000-8003", ["8000/tcp", "8001/tcp", "8002/tcp", "8003/tcp"]),
    ("8000-8001/udp", ["8000/udp", "8001/udp"]),
    ("8000-8000", ["8000/tcp"]),
    (" 8000 - 8001 / udp , 22 ", ["8000/udp", "8001/udp", "22/tcp"]),
    ("\t22\n,\r\n80", ["22/tcp", "80/tcp"]),
    ("https", ["443/tcp"]),
    ("HTTPS", ["443/tcp"]),
    ("https/udp", ["443/udp"]),
    ("https/tcp", ["443/tcp"]),
    ("domain", ["53/tcp"]),
    ("domain/udp", ["53/udp"]),
    ("ntp", ["123/udp"]),  # the database knows it for udp only
    ("tftp", ["69/udp"]),
    ("www", ["80/tcp"]),  # an alias
    ("ftp-data", ["20/tcp"]),
    ("22,22,22/tcp,ssh", ["22/tcp"]),
    ("443,22,443/udp,22", ["443/tcp", "22/tcp", "443/udp"]),
    ("22,80/tcp,53/udp,8000-8003,https,icmp",
     ["22/tcp", "80/tcp", "53/udp", "8000/tcp", "8001/tcp", "8002/tcp", "8003/tcp", "443/tcp", "icmp"]),
    (["22", "53/udp"], ["22/tcp", "53/udp"]),
    (["22,80", "icmp"], ["22/tcp", "80/tcp", "icmp"]),
    ([{"port": 22, "protocol": "tcp"}, {"port": 53, "protocol": "UDP"}], ["22/tcp", "53/udp"]),
    ([{"port": 22}, {"protocol": "icmp"}, {"port": None, "protocol": "icmp"}], ["22/tcp", "icmp"]),
    (["22", {"port": 22, "protocol": "tcp"}], ["22/tcp"]),
    ((Service(port=22, protocol="tcp"), Service(port=None, protocol="icmp")), ["22/tcp", "icmp"]),
    ("1-100", [f"{port}/tcp" for port in range(1, 101)]),
    ("1-60,30-100", [f"{port}/tcp" for port in range(1, 101)]),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), RIGHT)
def test_expands(given: object, expected: list[str]) -> None:
    assert texts(given) == expected


def test_the_default_protocol_is_for_parts_without_one() -> None:
    assert texts("22,80/tcp,8000-8001,domain,ssh", "udp") == [
        "22/udp", "80/tcp", "8000/udp", "8001/udp", "53/udp", "22/tcp",
    ]  # fmt: skip
    with pytest.raises(BadInput, match="must be tcp or udp"):
        parse_services("22", "sctp")


WRONG: list[tuple[object, str]] = [
    ("", "does not name a service"),
    ("  \t", "does not name a service"),
    ([], "does not name a service"),
    ([""], r"\(part 1\) is empty"),
    (["22", " "], r"\(part 2\) is empty"),
    (",", r"\(part 1\) is empty"),
    ("22,", r"\(part 2\) is empty: remove the extra comma"),
    ("22,,80", r"\(part 2\) is empty"),
    ("22,0", r"'0' \(part 2\) is not a valid port: ports are 1-65535"),
    ("65536", "ports are 1-65535"),
    ("99999999999999999999999", "ports are 1-65535"),
    ("9" * 6000, "ports are 1-65535"),
    ("022", "leading zero: write 22"),
    ("08-10", "leading zero: write 8"),
    ("0-10", "ports are 1-65535"),
    ("-5", "is not a valid port, range or name"),
    ("80-", "is not a valid port, range or name"),
    ("1-2-3", "is not a valid port, range or name"),
    ("22.5", "is not a valid port, range or name"),
    ("1e3", "services database"),
    ("+22", "is not a valid port, range or name"),
    ("²²", "is not a valid port, range or name"),
    ("٢٢", "is not a valid port, range or name"),
    ("22–24", "is not a valid port, range or name"),
    ("80;443", "is not a valid port, range or name"),
    ("22 80", "white space: separate services with commas"),
    ("ssh telnet", "separate services with commas"),
    ("8003-8000", "runs backwards: write 8000-8003"),
    ("1-65535", "has 65535 ports: a test takes at most 100 services"),
    ("1-101", "has 101 ports"),
    ("1-99,200-201", "'201/tcp' is one too many"),
    ("22/sctp", r"'22/sctp' \(part 1\) has an unknown protocol: end it in /tcp or /udp"),
    ("22/", "unknown protocol"),
    ("/tcp", "is not a valid port, range or name"),
    ("22/tcp/udp", "unknown protocol"),
    ("8/icmp", "ICMP has no ports; use icmp"),
    ("icmp/tcp", "ICMP has no ports; use icmp"),
    ("icmp/", "ICMP has no ports; use icmp"),
    ("ntp/tcp", "is known for udp only: write ntp or 123/tcp"),
    ("ssh/udp", "is known for tcp only: write ssh or 22/udp"),
    ("nosuchservice", "give its port number, as in 8080/tcp"),
    ("nosuch/udp", "give its port number"),
    ("any", "services database"),
    ("*", "is not a valid port, range or name"),
    ("ss\x00h", "is not a valid port, range or name"),
    ("a" * 64, "is not a valid port, range or name"),
    ("../../etc/passwd", "unknown protocol"),
    (None, "must be a string or a list"),
    (22, "must be a string or a list"),
    ({"port": 22}, "must be a string or a list"),
    ([22], 'must be a string such as "22/tcp"'),
    ([None], 'must be a string such as "22/tcp"'),
    ([["22"]], 'must be a string such as "22/tcp"'),
    ([{}], "has no usable port"),
    ([{"port": "22"}], "has no usable port"),
    ([{"port": True}], "has no usable port"),
    ([{"port": 22.0}], "has no usable port"),
    ([{"port": 0}], "has no usable port"),
    ([{"port": 65536}], "has no usable port"),
    ([{"port": 22, "protocol": "sctp"}], "unknown protocol: use tcp, udp or icmp"),
    ([{"port": 22, "protocol": None}], "unknown protocol"),
    ([{"port": 8, "protocol": "icmp"}], "ICMP has no ports; leave port out"),
    ([{"port": 22, "proto": "tcp"}], "unknown field 'proto'"),
    (["22", {"port": 22, 5: 1}], r"\(part 2\) has an unknown field '5'"),
    (",".join(["22"] * 1001), "at most 1000 parts"),
    (["22"] * 1001, "at most 1000 parts"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_says_what_is_wrong(given: object, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        parse_services(given)
    assert caught.value.field == "services"
    assert len(str(caught.value)) < 300


def test_names_the_wrong_part_only() -> None:
    with pytest.raises(BadInput) as caught:
        parse_services("22, 80/tcp, 70000 ,icmp")
    assert caught.value.value == "70000"
    assert "(part 3)" in caught.value.remedy


def test_look_ups_from_many_threads_do_not_mix_answers() -> None:
    """C's getservbyname answers in one static buffer: without a lock a thread may read another one's port."""
    names = {"ssh": 22, "telnet": 23, "smtp": 25, "http": 80, "pop3": 110, "imap2": 143, "https": 443}
    wrong: list[str] = []

    def ask(name: str, port: int) -> None:
        for _ in range(150):
            if look_up.__wrapped__(name, "tcp") != port:
                wrong.append(name)

    threads = [threading.Thread(target=ask, args=item) for item in names.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


ports = st.integers(1, 65535)
services = st.builds(
    Service, port=ports, protocol=st.sampled_from(["tcp", "udp"])
) | st.just(Service(port=None, protocol="icmp"))  # fmt: skip


@given(st.lists(services, min_size=1, max_size=SERVICES_MAX))
def test_what_it_prints_it_reads(asked: list[Service]) -> None:
    expected = tuple(dict.fromkeys(asked))
    assert parse_services(", ".join(map(str, asked))) == expected
    assert parse_services([str(service) for service in asked]) == expected
    assert parse_services([service.model_dump() for service in asked]) == expected
    assert parse_services(expected) == expected


@given(ports, st.integers(0, 99), st.sampled_from(["tcp", "udp"]))
def test_a_range_is_its_ports(first: int, more: int, protocol: str) -> None:
    last = min(first + more, 65535)
    assert texts(f"{first}-{last}/{protocol}") == [f"{port}/{protocol}" for port in range(first, last + 1)]


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(json_like | st.text(alphabet="0123456789-/,tcpudi mshn", max_size=40))
def test_anything_is_services_or_bad_input(anything: object) -> None:
    try:
        found = parse_services(anything)
    except BadInput:
        return
    assert 1 <= len(found) <= SERVICES_MAX
    assert len(set(found)) == len(found)
    for service in found:
        if service.port is None:
            assert service.protocol == "icmp"
        else:
            assert 1 <= service.port <= 65535
            assert service.protocol in ("tcp", "udp")
