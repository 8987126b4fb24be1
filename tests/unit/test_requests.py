"""Valid and invalid requests: addresses, ports and modes, each with its error."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import BadInput
from ledger.runs.requests import RunRequest, examine, parse_address
from ledger.runs.run import Mode

SOURCE, DESTINATION = "10.1.10.20", "10.3.20.8"


def test_a_request_is_canonical() -> None:
    request = RunRequest.parse(f" {SOURCE}\n", DESTINATION, "ssh, 22, icmp", "detailed", 40000)
    assert request.model_dump(mode="json") == {
        "source": SOURCE,
        "destination": DESTINATION,
        "services": [{"port": 22, "protocol": "tcp"}, {"port": None, "protocol": "icmp"}],
        "mode": "detailed",
        "source_port": 40000,
    }
    assert RunRequest.parse(SOURCE, DESTINATION, "22").mode is Mode.QUICK
    assert RunRequest.parse(SOURCE, DESTINATION, "22", Mode.DETAILED).mode is Mode.DETAILED
    assert RunRequest.parse(SOURCE, DESTINATION, "22").source_port is None


@pytest.mark.parametrize(
    "address",
    [
        "1.0.0.0",
        "10.0.0.0",
        "10.0.0.255",
        "126.255.255.255",
        "128.0.0.1",
        "169.254.1.1",
        "192.0.2.1",
        "223.255.255.255",
    ],
)
def test_any_unicast_address_may_be_asked_about(address: str) -> None:
    assert parse_address("source", address) == address


NOT_ADDRESSES = [
    ("", "is empty"),
    ("   ", "is empty"),
    ("10.1.10", "give four numbers"),
    ("10.1.10.20.30", "give four numbers"),
    ("10.1.10.20.", "give four numbers"),
    ("10..10.20", "give four numbers"),
    ("167838228", "give four numbers"),
    ("10.1.10.256", "at most 255"),
    ("999.1.1.1", "at most 255"),
    ("10.1.10.9999999999", "at most 255"),
    ("010.1.10.20", "leading zeros: write 10.1.10.20"),
    ("10.1.10.020", "leading zeros: write 10.1.10.20"),
    ("10.1.00.20", "leading zeros: write 10.1.0.20"),
    ("0x0a.1.1.1", "is a name"),
    ("-1.1.1.1", "is not a valid IPv4 address"),
    ("10.1.10.20/24", "is a network or carries a mask"),
    ("10.0.0.0/8", "is a network or carries a mask"),
    ("10.1.10.20/255.255.255.0", "is a network or carries a mask"),
    ("::1", "IPv6 address, which is not supported yet"),
    ("2001:db8::1", "not supported yet"),
    ("2001:db8::/32", "not supported yet"),
    ("[2001:db8::1]", "not supported yet"),
    ("fe80::1%eth0", "not supported yet"),
    ("::ffff:10.1.10.20", "not supported yet"),
    ("10.1.10.20:443", "is not a valid IPv4 address"),
    ("localhost", "names are not looked up, give its IPv4 address"),
    ("web-1.example.org", "names are not looked up"),
    ("web 1", "is not a valid IPv4 address"),
    ("10.1.10.20 10.3.20.8", "is not a valid IPv4 address"),
    ("10.1.10.20; rm -rf /", "carries a mask"),
    ("10.1.10.20\x00", "is not a valid IPv4 address"),
    ("١٠.١.١٠.٢٠", "is not a valid IPv4 address"),
    ("10。1。10。20", "is not a valid IPv4 address"),
    ("<script>alert(1)<", "is not a valid IPv4 address"),
    ("1" * 100_000, "is not a valid IPv4 address"),
    ("a" * 100_000, "is a name"),
    ("0.0.0.0", "0.0.0.0/8"),
    ("0.1.2.3", "0.0.0.0/8"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"),
    ("255.255.255.255", "broadcast"),
    (None, "must be a string"),
    (167838228, "must be a string"),
    (10.1, "must be a string"),
    (True, "must be a string"),
    (["10.1.10.20"], "must be a string"),
    ({"ip": "10.1.10.20"}, "must be a string"),
]


@pytest.mark.parametrize(("given", "message"), NOT_ADDRESSES, ids=lambda value: repr(value)[:40])
@pytest.mark.parametrize("field", ["source", "destination"])
def test_says_why_it_is_no_address(field: str, given: object, message: str) -> None:
    fields = {"source": SOURCE, "destination": DESTINATION, "services": "22", field: given}
    with pytest.raises(BadInput, match=message) as caught:
        RunRequest.parse(**fields)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")
    assert len(str(caught.value)) < 250


def test_source_and_destination_differ() -> None:
    with pytest.raises(BadInput, match="is also the source") as caught:
        RunRequest.parse(SOURCE, f" {SOURCE}", "22")
    assert caught.value.field == "destination"


@pytest.mark.parametrize("port", [0, -1, 65536, 10**30, True, "40000", 40000.0, [], {}, float("nan")])
def test_source_port_is_a_port(port: object) -> None:
    with pytest.raises(BadInput, match="1-65535, or be left out") as caught:
        RunRequest.parse(SOURCE, DESTINATION, "22", source_port=port)
    assert caught.value.field == "source_port"


@pytest.mark.parametrize("mode", ["", "QUICK", "slow", None, 1, True, ["quick"], {}])
def test_mode_is_quick_or_detailed(mode: object) -> None:
    with pytest.raises(BadInput, match="use quick or detailed") as caught:
        RunRequest.parse(SOURCE, DESTINATION, "22", mode)
    assert caught.value.field == "mode"


def test_every_wrong_field_is_named_at_once() -> None:
    request, wrong = examine("x", "::1", "22,70000", "slow", 0)
    assert request is None
    assert [bad.field for bad in wrong] == ["source", "destination", "services", "mode", "source_port"]
    request, wrong = examine(SOURCE, DESTINATION, "22")
    assert request is not None
    assert wrong == []


def test_a_detailed_run_takes_fewer_services() -> None:
    assert len(RunRequest.parse(SOURCE, DESTINATION, "1-50", "detailed").services) == 50
    assert len(RunRequest.parse(SOURCE, DESTINATION, "1-100").services) == 100
    with pytest.raises(BadInput, match="has 51 services; a detailed run takes at most 50") as caught:
        RunRequest.parse(SOURCE, DESTINATION, "1-51", "detailed")
    assert caught.value.field == "services"


@given(st.ip_addresses(v=4))
def test_an_address_is_itself_or_refused(address: ipaddress.IPv4Address) -> None:
    never = address.is_loopback or address.is_multicast or int(address) >> 24 == 0 or int(address) == 2**32 - 1
    if never:
        with pytest.raises(BadInput):
            parse_address("source", str(address))
    else:
        assert parse_address("source", str(address)) == str(address)


@given(st.text() | st.text(alphabet="0123456789.:/abcdef%", max_size=30))
def test_any_text_is_an_address_or_bad_input(text: str) -> None:
    try:
        found = parse_address("source", text)
    except BadInput:
        return
    assert str(ipaddress.IPv4Address(found)) == found == text.strip()
