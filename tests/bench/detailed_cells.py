"""Detailed answers for networks/campus and three small networks, read from the rules by hand.

Nothing here was produced by running anything. How the cases were read:

* a request is the first packet of a new connection with DSCP 0, from a high port when none is given; its way ends where it
  is stopped. A reply (SYN+ACK, echo) belongs to an established connection wherever the router has seen the request;
* the deciding rule of a router is the one that stops the packet, or else the last rule that accepts it at a filter hook, or
  else the policy there; None where nothing filters, or where routing alone stops the packet;
* a refusal must come back as well: an ICMP error about a connection that a router does not know is INVALID there, and
  ICMP errors have TOS 0xc0, which wan-1 drops (mangle PREROUTING: --tos 0x80/0x80). A TCP reset has TOS 0;
* edge drops what comes by eth1 from TCP ports 0:1023, so also the answers of the internet's web servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

C, R, T, U = "CONNECTED", "REFUSED", "TIMEOUT", "UNREACHABLE"


@dataclass(frozen=True)
class Case:
    """One service asked in detail; `stopped`: "" when it works, "request" or "reply" when a router stops that, "nowhere"."""

    network: str
    source: str
    destination: str
    service: str
    outcome: str
    request: str
    """Routers the request went through, in order, the one that stopped it last."""
    reply: str
    stopped: str = ""
    rules: Mapping[str, str | None] = field(default_factory=dict)
    """router, `<router` on the way back, `router#2` on the second visit -> "chains… number file:line verdict"."""
    source_port: int | None = None
    nat: Mapping[str, str] = field(default_factory=dict)
    """router as in `rules` -> "before => after", each `source → destination`; empty: not looked at."""


USER, ANALYST, LAB = "10.1.10.20", "10.1.10.40", "10.1.10.70"
PHONE, STAFF, GUEST, ADMIN = "10.1.20.5", "10.1.30.20", "10.1.30.200", "10.1.99.10"
CLERK, TILL = "10.2.10.9", "10.2.20.7"
APP, DNS, SIP, DB, SICK, WEB, POD = (
    "10.3.20.8", "10.3.20.53", "10.3.20.30", "10.3.40.5", "10.3.66.9", "10.3.80.10", "10.3.130.7",
)  # fmt: skip
APP_IN_DMZ, PARTNER, INTERNET, SITE, PUBLIC = "10.3.80.100", "172.20.5.9", "192.0.2.77", "192.0.2.80", "203.0.113.3"

CAMPUS_REPLIES: Mapping[str, str | None] = {
    "<hq-core": "FORWARD 1 iptables:25 ACCEPT",
    "<hq-gw": "FORWARD policy iptables:17 ACCEPT",
    "<hq-wifi": "FORWARD policy iptables:4 ACCEPT",
    "<wan-1": "FORWARD policy iptables:22 ACCEPT",
    "<wan-2": None,
    "<dc-gw": "FORWARD 1 iptables:23 ACCEPT",
    "<dc-fw": "FORWARD 1 iptables:15 ACCEPT",
    "<dc-core": "forward 1 nft:35 ACCEPT",
    "<edge": "FORWARD 1 iptables:20 ACCEPT",
    "<br-gw": "FORWARD 1 iptables:13 ACCEPT",
    "<br-lan": "FORWARD policy iptables:11 ACCEPT",
}
"""What lets a reply through where nothing else is said."""
NO_WEB_BACK = {"<edge": "PREROUTING 3 iptables:7 DROP"}
FROM_EDGE: Mapping[str, str | None] = {"<hq-gw": "FORWARD from-edge 1 iptables:31 ACCEPT"}

HQ: Mapping[str, str | None] = {
    "hq-core": "FORWARD users-out 7 iptables:43 ACCEPT",
    "hq-gw": "FORWARD policy iptables:17 ACCEPT",
    "wan-1": "FORWARD policy iptables:22 ACCEPT",
    "wan-2": None,
    "dc-gw": "FORWARD new-conn 3 iptables:37 ACCEPT",
}
ADMINS = {**HQ, "hq-core": "FORWARD 5 iptables:29 ACCEPT"}
PHONES = {**HQ, "hq-core": "FORWARD voice-out 1 iptables:44 ACCEPT"}
INWARD: Mapping[str, str | None] = {
    "edge": "FORWARD 3 iptables:22 ACCEPT",
    "hq-gw": "FORWARD from-edge 2 iptables:32 ACCEPT",
    "wan-1": "FORWARD policy iptables:22 ACCEPT",
    "dc-gw": "FORWARD new-conn 6 iptables:40 ACCEPT",
}
BRANCH: Mapping[str, str | None] = {
    "br-lan": "FORWARD policy iptables:11 ACCEPT",
    "br-gw": "FORWARD to-corp 1 iptables:27 ACCEPT",
    "wan-1": "FORWARD policy iptables:22 ACCEPT",
    "dc-gw": "FORWARD new-conn branch 3 iptables:31 ACCEPT",
}
SERVERS_OUT: Mapping[str, str | None] = {
    "dc-core": "forward from_servers 6 nft:67 ACCEPT",
    "dc-fw": "FORWARD 6 iptables:20 ACCEPT",
    "dc-gw": "FORWARD new-conn 2 iptables:36 ACCEPT",
    "wan-1": "FORWARD policy iptables:22 ACCEPT",
    "wan-2": None,
    "hq-gw": "FORWARD policy iptables:17 ACCEPT",
}
FW_APP = {"dc-fw": "FORWARD to-servers 5 iptables:45 ACCEPT"}
FW_DMZ = {"dc-fw": "FORWARD to-dmz 1 iptables:35 ACCEPT"}
FW_ICMP = {"dc-fw": "FORWARD icmp-in 1 iptables:30 ACCEPT"}
FW_POLICY = {"dc-fw": "FORWARD policy iptables:4 DROP"}
FW_TO_DB = {"dc-fw": "FORWARD to-servers to-db 3 iptables:34 REJECT"}
FW_DMZ_RESET = {"dc-fw": "FORWARD to-dmz 4 iptables:38 REJECT"}
CORE_APP = {"dc-core": "forward to_servers 3 nft:50 ACCEPT"}
CORE_DB = {"dc-core": "forward to_db 1 nft:54 ACCEPT"}
CORE_REJECT = {"dc-core": "forward 10 nft:44 REJECT"}
HQ_POLICY = {"hq-core": "FORWARD policy iptables:14 DROP"}

HQ_DC_1 = "hq-core hq-gw wan-1 dc-gw dc-fw dc-core"
HQ_DC_2 = "hq-core hq-gw wan-2 dc-gw dc-fw dc-core"
HQ_FW_1 = "hq-core hq-gw wan-1 dc-gw dc-fw"
HQ_FW_2 = "hq-core hq-gw wan-2 dc-gw dc-fw"
DC_HQ_1 = "dc-core dc-fw dc-gw wan-1 hq-gw hq-core"
DC_HQ_2 = "dc-core dc-fw dc-gw wan-2 hq-gw hq-core"
FW_HQ_1 = "dc-fw dc-gw wan-1 hq-gw hq-core"
BR_DC = "br-lan br-gw wan-1 dc-gw dc-fw dc-core"
DC_BR = "dc-core dc-fw dc-gw wan-1 br-gw br-lan"
IN_DMZ = "edge hq-gw wan-1 dc-gw dc-fw"
DMZ_OUT = "dc-fw dc-gw wan-1 hq-gw edge"
M = "campus"

# fmt: off
_SERVERS = (
    # 443 is marked by hq-gw: there by wan-2, back by wan-1
    Case(M, USER, APP, "443/tcp", C, HQ_DC_2, DC_HQ_1, rules={**HQ, **FW_APP, **CORE_APP}),
    Case(M, USER, APP, "80/tcp", C, HQ_DC_1, DC_HQ_1, rules={**HQ, **FW_APP, **CORE_APP}),
    Case(M, USER, APP, "8080/tcp", T, HQ_DC_1, "", "request", {**HQ, **FW_APP, **CORE_REJECT}),
    Case(M, USER, APP, "22/tcp", T, HQ_FW_1, "", "request", {**HQ, **FW_POLICY}),
    Case(M, USER, APP, "icmp", C, HQ_DC_1, DC_HQ_1,
         rules={**HQ, **FW_ICMP, "dc-core": "forward 5 nft:39 ACCEPT"}),
    Case(M, USER, APP, "23/tcp", T, "hq-core hq-gw wan-1", "", "request",
         {**HQ, "wan-1": "PREROUTING 1 iptables:15 DROP"}),
    Case(M, USER, APP, "1900/udp", T, "hq-core hq-gw wan-1", "", "request",
         {**HQ, "wan-1": "PREROUTING 2 iptables:16 DROP"}),
    Case(M, USER, APP, "445/tcp", T, "hq-core hq-gw", "", "request",
         {**HQ, "hq-gw": "PREROUTING 2 iptables:9 DROP"}),
    Case(M, USER, APP, "25/tcp", R, "hq-core", "", "request",
         {"hq-core": "FORWARD users-out 2 iptables:38 REJECT"}),
    Case(M, LAB, APP, "443/tcp", T, HQ_FW_2, "", "request", {**HQ, **FW_POLICY}),
    Case(M, USER, "10.3.20.210", "443/tcp", T, HQ_DC_2, "", "request",
         {**HQ, **FW_APP, "dc-core": "forward 4 nft:38 DROP"}),
    Case(M, ADMIN, APP, "22/tcp", C, HQ_DC_1, DC_HQ_1,
         rules={**ADMINS, "dc-fw": "FORWARD to-servers admin-any 1 iptables:22 ACCEPT",
                "dc-core": "forward 6 nft:40 ACCEPT"}),
    Case(M, ADMIN, APP, "9050/tcp", T, HQ_DC_1, "", "request",
         {**ADMINS, "dc-fw": "FORWARD to-servers admin-any 2 iptables:23 ACCEPT", **CORE_REJECT}),
    Case(M, USER, DB, "5432/tcp", T, HQ_FW_1, "", "request", {**HQ, **FW_TO_DB}),
    # dc-gw sends what comes from 10.3.40.0/24 by wan-2
    Case(M, ANALYST, DB, "5432/tcp", C, HQ_DC_1, DC_HQ_2,
         rules={**HQ, "dc-fw": "FORWARD to-servers to-db 2 iptables:33 ACCEPT", **CORE_DB}),
    # admin-any returns to to-db, where the last rule rejects
    Case(M, ADMIN, DB, "5432/tcp", T, HQ_FW_1, "", "request", {**ADMINS, **FW_TO_DB}),
)

_DNS_AND_VOICE = (
    # untracked on dc-gw both ways; its rule 110 sends the answer by wan-2
    Case(M, USER, DNS, "53/udp", C, HQ_DC_1, DC_HQ_2,
         rules={**HQ, "hq-core": "FORWARD users-out 5 iptables:41 ACCEPT", "dc-gw": "FORWARD 3 iptables:25 ACCEPT",
                "dc-fw": "FORWARD to-servers 3 iptables:43 ACCEPT", **CORE_APP,
                "<dc-gw": "FORWARD 4 iptables:26 ACCEPT"}),
    Case(M, USER, DNS, "53/udp", T, "hq-core", "", "request",
         {"hq-core": "FORWARD users-out 6 iptables:42 DROP"}, source_port=53),
    Case(M, USER, APP, "53/udp", T, "hq-core hq-gw wan-1 dc-gw", "", "request",
         {**HQ, "hq-core": "FORWARD users-out 5 iptables:41 ACCEPT", "dc-gw": "FORWARD policy iptables:13 DROP"}),
    Case(M, DNS, "192.0.2.53", "53/udp", T, "dc-core dc-fw dc-gw", "", "request",
         {**SERVERS_OUT, "dc-gw": "FORWARD policy iptables:13 DROP"}),
    # wan-2 says net unreachable, but to dc-gw that is an error about nothing it tracks: INVALID, dropped
    Case(M, DNS, "192.0.2.53", "53/udp", T, "dc-core dc-fw dc-gw wan-2", "", "request",
         {**SERVERS_OUT, "dc-gw": "FORWARD 4 iptables:26 ACCEPT"}, source_port=53),
    Case(M, PHONE, SIP, "5060/udp", C, HQ_DC_2, DC_HQ_2,
         rules={**PHONES, "dc-fw": "FORWARD to-servers 8 iptables:48 ACCEPT", **CORE_APP}),
    Case(M, PHONE, SIP, "5004/udp", T, "hq-core", "", "request", HQ_POLICY),
    Case(M, PHONE, APP, "icmp", C, HQ_DC_1, DC_HQ_2,
         rules={**HQ, "hq-core": "FORWARD voice-out 4 iptables:47 ACCEPT", **FW_ICMP,
                "dc-core": "forward 5 nft:39 ACCEPT"}),
    Case(M, SIP, PHONE, "5060/udp", C, DC_HQ_2, HQ_DC_1,
         rules={**SERVERS_OUT, "hq-core": "FORWARD 8 iptables:32 ACCEPT"}),
    Case(M, APP, PHONE, "icmp", T, DC_HQ_2, "", "request",
         {**SERVERS_OUT, "dc-core": "forward 5 nft:39 ACCEPT", **FW_ICMP, **HQ_POLICY}),
    Case(M, PHONE, USER, "443/tcp", T, "hq-core", "", "request", HQ_POLICY),
    Case(M, USER, PHONE, "443/tcp", C, "hq-core", "hq-core", rules=HQ),
)

_DMZ_AND_DATA_CENTRE = (
    Case(M, USER, WEB, "443/tcp", C, HQ_FW_2, FW_HQ_1, rules={**HQ, **FW_DMZ}),
    Case(M, USER, WEB, "8080/tcp", R, HQ_FW_1, "", "request", {**HQ, **FW_DMZ_RESET}),
    Case(M, USER, WEB, "22/tcp", T, HQ_FW_1, "", "request",
         {**HQ, "dc-fw": "FORWARD to-dmz 6 iptables:40 DROP"}),
    Case(M, USER, APP_IN_DMZ, "443/tcp", C, HQ_DC_2, DC_HQ_1, rules={**HQ, **FW_APP, **CORE_APP}, source_port=5555,
         nat={"dc-fw": "10.1.10.20:5555 → 10.3.80.100:443 => 10.1.10.20:5555 → 10.3.20.8:8443",
              "<dc-fw": "10.3.20.8:8443 → 10.1.10.20:5555 => 10.3.80.100:443 → 10.1.10.20:5555"}),
    Case(M, LAB, APP_IN_DMZ, "443/tcp", T, HQ_FW_2, "", "request", {**HQ, **FW_POLICY}),
    Case(M, WEB, DB, "5432/tcp", C, "dc-fw dc-core", "dc-core dc-fw",
         rules={"dc-fw": "FORWARD from-dmz 1 iptables:25 ACCEPT", **CORE_DB}),
    Case(M, WEB, APP, "443/tcp", T, "dc-fw", "", "request", {"dc-fw": "FORWARD from-dmz 3 iptables:27 DROP"}),
    Case(M, WEB, SITE, "443/tcp", T, DMZ_OUT, "edge", "reply",
         rules={**SERVERS_OUT, "dc-fw": "FORWARD from-dmz 4 iptables:28 ACCEPT",
                "edge": "FORWARD out 3 iptables:30 ACCEPT", **NO_WEB_BACK},
         source_port=5555, nat={"edge": "10.3.80.10:5555 → 192.0.2.80:443 => 203.0.113.3:5555 → 192.0.2.80:443"}),
    Case(M, APP, DB, "5432/tcp", C, "dc-core", "dc-core", rules={"dc-core": "forward from_servers 1 nft:62 ACCEPT"}),
    Case(M, "10.3.20.10", DB, "5432/tcp", T, "dc-core", "", "request",
         {"dc-core": "forward from_servers 2 nft:63 DROP"}),
    Case(M, "10.3.20.205", WEB, "80/tcp", T, "dc-core", "", "request", {"dc-core": "forward 3 nft:37 DROP"}),
    Case(M, APP, ADMIN, "514/udp", C, DC_HQ_1, HQ_DC_1,
         rules={**SERVERS_OUT, "hq-core": "FORWARD mgmt-in 1 iptables:34 ACCEPT"}),
    Case(M, DB, ADMIN, "6514/tcp", C, DC_HQ_2, HQ_DC_1,
         rules={**SERVERS_OUT, "dc-core": "forward from_db 2 nft:72 ACCEPT",
                "hq-core": "FORWARD mgmt-in 2 iptables:35 ACCEPT"}),
    # no route on wan-2; its answer belongs to the connection and comes back
    Case(M, DB, CLERK, "5432/tcp", U, "dc-core dc-fw dc-gw wan-2", "", "request",
         {**SERVERS_OUT, "dc-core": "forward from_db 1 nft:71 ACCEPT"}),
    Case(M, USER, SICK, "80/tcp", T, "hq-core hq-gw wan-1", "", "request", {**HQ, "wan-1": None}),
    Case(M, USER, SICK, "443/tcp", C, HQ_DC_2, DC_HQ_1,
         rules={**HQ, **FW_APP, "dc-core": "forward to_quarantine 1 nft:58 ACCEPT"}),
    # the pods' router is in the servers' segment: it answers 10.3.20.8 without dc-core, and so dc-core, which has seen
    # no SYN+ACK, drops the ACK as invalid
    Case(M, APP, POD, "8080/tcp", T, "dc-core", "", "request", {"dc-core": "forward 1 nft:35 DROP"}),
    Case(M, USER, POD, "8080/tcp", C, HQ_DC_1, DC_HQ_1,
         rules={**HQ, **FW_APP, "dc-core": "forward to_servers 2 nft:49 ACCEPT"}),
    Case(M, POD, WEB, "80/tcp", C, "dc-core dc-fw", "dc-fw dc-core", rules={**SERVERS_OUT, **FW_DMZ}),
)

_BRANCH = (
    Case(M, CLERK, APP, "443/tcp", C, BR_DC, DC_BR, rules={**BRANCH, **FW_APP, **CORE_APP}),
    Case(M, CLERK, SICK, "443/tcp", T, "br-lan br-gw wan-1", "", "request", {**BRANCH, "wan-1": None}),
    Case(M, CLERK, APP, "22/tcp", T, "br-lan br-gw hq-gw wan-1 dc-gw dc-fw", "", "request",
         {**BRANCH, "br-gw": "FORWARD 5 iptables:17 ACCEPT", "hq-gw": "FORWARD from-tunnel 2 iptables:36 ACCEPT",
          **FW_POLICY}),
    Case(M, CLERK, DB, "22/tcp", T, "br-lan br-gw hq-gw", "", "request",
         {"br-gw": "FORWARD 5 iptables:17 ACCEPT", "hq-gw": None}),
    # br-lan keeps no state: anything but 9100 towards the tills is dropped, answers included
    Case(M, TILL, APP, "8443/tcp", T, BR_DC, DC_BR, "reply",
         {**BRANCH, "dc-gw": "FORWARD new-conn branch 1 iptables:29 ACCEPT",
          "dc-fw": "FORWARD to-servers 6 iptables:46 ACCEPT", **CORE_APP, "<br-lan": "FORWARD 3 iptables:17 DROP"}),
    Case(M, APP, TILL, "9100/tcp", C, DC_BR, BR_DC,
         rules={**SERVERS_OUT, "br-gw": "FORWARD from-corp 2 iptables:23 ACCEPT",
                "br-lan": "FORWARD policy iptables:11 ACCEPT"}),
    Case(M, TILL, PHONE, "5060/udp", T, "br-lan br-gw wan-1", "", "request",
         {**BRANCH, "br-gw": "FORWARD to-corp 2 iptables:28 ACCEPT", "wan-1": "FORWARD 1 iptables:26 DROP"},
         source_port=5060),
    Case(M, CLERK, PHONE, "5060/udp", C, "br-lan br-gw wan-1 hq-gw hq-core", "hq-core hq-gw wan-1 br-gw br-lan",
         rules={**BRANCH, "br-gw": "FORWARD to-corp 2 iptables:28 ACCEPT",
                "hq-gw": "FORWARD policy iptables:17 ACCEPT", "hq-core": "FORWARD 8 iptables:32 ACCEPT"},
         source_port=5060),
    Case(M, CLERK, USER, "22/tcp", T, "br-lan br-gw hq-gw hq-core", "", "request",
         {"hq-gw": "FORWARD from-tunnel 2 iptables:36 ACCEPT", **HQ_POLICY}),
    Case(M, TILL, ADMIN, "22/tcp", T, "br-lan br-gw hq-gw", "", "request",
         {"hq-gw": "FORWARD from-tunnel 5 iptables:39 DROP"}),
    Case(M, TILL, CLERK, "80/tcp", U, "br-lan", "", "request", {"br-lan": "FORWARD 2 iptables:16 REJECT"}),
    Case(M, CLERK, TILL, "9100/tcp", T, "br-lan", "", "request", {"br-lan": "FORWARD 1 iptables:15 DROP"}),
    Case(M, ADMIN, CLERK, "22/tcp", C, "hq-core hq-gw wan-1 br-gw br-lan", "br-lan br-gw wan-1 hq-gw hq-core",
         rules={**ADMINS, "br-gw": "FORWARD from-corp 1 iptables:22 ACCEPT",
                "br-lan": "FORWARD policy iptables:11 ACCEPT"}),
    Case(M, ADMIN, CLERK, "137/udp", T, "hq-core hq-gw wan-1 br-gw br-lan", "", "request",
         {**ADMINS, "br-lan": "PREROUTING 1 iptables:5 DROP"}),
)

_INTERNET = (
    Case(M, USER, SITE, "443/tcp", T, "hq-core hq-gw edge", "edge", "reply",
         {**HQ, "edge": "FORWARD out 3 iptables:30 ACCEPT", **NO_WEB_BACK}, source_port=5555,
         nat={"edge": "10.1.10.20:5555 → 192.0.2.80:443 => 203.0.113.2:5555 → 192.0.2.80:443"}),
    Case(M, USER, SITE, "443/udp", C, "hq-core hq-gw edge", "edge hq-gw hq-core",
         rules={**HQ, "edge": "FORWARD out 6 iptables:33 ACCEPT", **FROM_EDGE}, source_port=5555,
         nat={"edge": "10.1.10.20:5555 → 192.0.2.80:443 => 203.0.113.2:5555 → 192.0.2.80:443",
              "<edge": "192.0.2.80:443 → 203.0.113.2:5555 => 192.0.2.80:443 → 10.1.10.20:5555"}),
    Case(M, USER, SITE, "3389/tcp", U, "hq-core hq-gw edge", "", "request",
         {**HQ, "edge": "FORWARD out 8 iptables:35 REJECT"}),
    Case(M, USER, SITE, "icmp", C, "hq-core hq-gw edge", "edge hq-gw hq-core",
         rules={**HQ, "edge": "FORWARD out 7 iptables:34 ACCEPT", **FROM_EDGE}),
    Case(M, USER, "203.0.113.5", "443/tcp", T, "hq-core hq-gw edge", "edge", "reply",
         {**HQ, "edge": "FORWARD out 3 iptables:30 ACCEPT", **NO_WEB_BACK}),
    Case(M, ADMIN, "203.0.113.5", "3389/tcp", C, "hq-core hq-gw edge", "edge hq-gw hq-core",
         rules={**ADMINS, "edge": "FORWARD out 1 iptables:28 ACCEPT", **FROM_EDGE}),
    Case(M, CLERK, SITE, "443/tcp", C, "br-lan br-gw", "br-gw br-lan",
         rules={**BRANCH, "br-gw": "FORWARD to-internet 2 iptables:32 ACCEPT"}),
    Case(M, CLERK, SITE, "22/tcp", T, "br-lan br-gw hq-gw edge", "edge", "reply",
         {**BRANCH, "br-gw": "FORWARD 5 iptables:17 ACCEPT",
                "hq-gw": "FORWARD from-tunnel 2 iptables:36 ACCEPT",
                "edge": "FORWARD out 5 iptables:32 ACCEPT", **NO_WEB_BACK}),
    Case(M, CLERK, SITE, "icmp", C, "br-lan br-gw", "br-gw br-lan",
         rules={"br-gw": "FORWARD 2 iptables:14 ACCEPT"}),
    Case(M, TILL, SITE, "443/tcp", T, "br-lan br-gw", "", "request",
         {"br-gw": "FORWARD to-internet 1 iptables:31 DROP"}),
    Case(M, CLERK, SITE, "25/tcp", R, "br-lan br-gw", "", "request",
         {"br-gw": "FORWARD to-internet 4 iptables:34 REJECT"}),
    Case(M, INTERNET, PUBLIC, "443/tcp", C, IN_DMZ, DMZ_OUT, rules={**INWARD, **FW_DMZ}, source_port=5555,
         nat={"edge": "192.0.2.77:5555 → 203.0.113.3:443 => 192.0.2.77:5555 → 10.3.80.10:443"}),
    Case(M, INTERNET, PUBLIC, "8888/tcp", R, IN_DMZ, "", "request", {**INWARD, **FW_DMZ_RESET}),
    Case(M, INTERNET, PUBLIC, "2222/tcp", T, "edge hq-gw", "", "request",
         {**INWARD, "hq-gw": "FORWARD from-edge 4 iptables:34 DROP"}),
    Case(M, INTERNET, PUBLIC, "5060/udp", C, "edge hq-gw hq-core", "hq-core hq-gw edge",
         rules={**INWARD, "hq-gw": "FORWARD from-edge 3 iptables:33 ACCEPT",
                "hq-core": "FORWARD 8 iptables:32 ACCEPT"}),
    Case(M, INTERNET, PUBLIC, "25/tcp", T, "edge", "", "request", {"edge": "INPUT policy iptables:12 DROP"}),
    Case(M, INTERNET, PUBLIC, "443/tcp", T, "edge", "", "request", {"edge": "PREROUTING 3 iptables:7 DROP"},
         source_port=80),
    Case(M, INTERNET, "203.0.113.2", "icmp", T, "edge", "", "request", {"edge": "INPUT policy iptables:12 DROP"}),
    Case(M, "192.168.7.7", "203.0.113.2", "icmp", T, "edge", "", "request",
         {"edge": "PREROUTING 2 iptables:6 DROP"}),
    Case(M, "203.0.113.1", PUBLIC, "443/tcp", C, IN_DMZ, DMZ_OUT, rules={**INWARD, **FW_DMZ}),
    Case(M, INTERNET, "198.51.100.2", "8022/tcp", C, "br-gw br-lan", "br-lan br-gw",
         rules={"br-gw": "FORWARD 9 iptables:21 ACCEPT", "br-lan": "FORWARD policy iptables:11 ACCEPT"},
         source_port=5555, nat={"br-gw": "192.0.2.77:5555 → 198.51.100.2:8022 => 192.0.2.77:5555 → 10.2.10.10:22"}),
    Case(M, INTERNET, "198.51.100.2", "51820/udp", C, "br-gw", "br-gw",
         rules={"br-gw": "INPUT 4 iptables:12 ACCEPT", "<br-gw": "OUTPUT policy iptables:5 ACCEPT"}),
    # hairpin: edge turns it round and hides the client, or the answer would not come back to it
    Case(M, USER, PUBLIC, "443/tcp", C, "hq-core hq-gw edge hq-gw wan-1 dc-gw dc-fw",
         "dc-fw dc-gw wan-1 hq-gw edge hq-gw hq-core",
         rules={**HQ, "edge": "FORWARD hairpin 1 iptables:26 ACCEPT",
                "hq-gw#2": "FORWARD from-edge 2 iptables:32 ACCEPT",
                "dc-gw": "FORWARD new-conn natted 1 iptables:32 ACCEPT", **FW_DMZ,
                "<hq-gw#2": "FORWARD from-edge 1 iptables:31 ACCEPT"},
         source_port=5555,
         nat={"edge": "10.1.10.20:5555 → 203.0.113.3:443 => 10.255.15.2:5555 → 10.3.80.10:443",
              "<edge": "10.3.80.10:443 → 10.255.15.2:5555 => 203.0.113.3:443 → 10.1.10.20:5555"}),
    Case(M, USER, PUBLIC, "8888/tcp", T, "hq-core hq-gw edge", "", "request",
         {**HQ, "edge": "FORWARD hairpin 2 iptables:27 DROP"}),
)

_PARTNER_WIFI_ROUTERS = (
    Case(M, PARTNER, APP, "1521/tcp", C, "dc-gw dc-fw dc-core", "dc-core dc-fw dc-gw",
         rules={"dc-gw": "FORWARD new-conn partner 2 iptables:42 ACCEPT",
                "dc-fw": "FORWARD to-servers 10 iptables:50 ACCEPT", **CORE_APP}),
    Case(M, PARTNER, APP, "443/tcp", U, "dc-gw", "", "request",
         {"dc-gw": "FORWARD new-conn partner 3 iptables:43 REJECT"}),
    Case(M, PARTNER, APP_IN_DMZ, "443/tcp", T, "dc-gw dc-fw", "", "request",
         {"dc-gw": "FORWARD new-conn partner 1 iptables:41 ACCEPT", **FW_POLICY}),
    Case(M, APP, PARTNER, "443/tcp", C, "dc-core dc-fw dc-gw", "dc-gw dc-fw dc-core", rules=SERVERS_OUT),
    Case(M, USER, PARTNER, "443/tcp", C, "hq-core hq-gw wan-1 dc-gw", "dc-gw wan-1 hq-gw hq-core", rules=HQ),
    Case(M, GUEST, SITE, "443/udp", C, "hq-wifi hq-gw edge", "edge hq-gw hq-wifi",
         rules={**HQ, "hq-wifi": "FORWARD policy iptables:4 ACCEPT", "edge": "FORWARD out 6 iptables:33 ACCEPT",
                **FROM_EDGE},
         source_port=5555,
         nat={"hq-wifi": "10.1.30.200:5555 → 192.0.2.80:443 => 10.255.1.3:5555 → 192.0.2.80:443",
              "edge": "10.255.1.3:5555 → 192.0.2.80:443 => 203.0.113.2:5555 → 192.0.2.80:443"}),
    Case(M, GUEST, APP, "443/tcp", U, "hq-wifi hq-gw", "", "request",
         {"hq-wifi": "FORWARD policy iptables:4 ACCEPT", "hq-gw": "FORWARD 2 iptables:27 REJECT"}),
    Case(M, STAFF, APP, "443/tcp", T, "hq-wifi hq-gw wan-2 dc-gw dc-fw", "", "request",
         {**HQ, "hq-wifi": "FORWARD policy iptables:4 ACCEPT", **FW_POLICY}),
    # a router asks, a router answers
    Case(M, "10.1.10.1", DNS, "53/udp", C, HQ_DC_1, DC_HQ_2,
         rules={**HQ, "hq-core": "OUTPUT policy iptables:15 ACCEPT", "dc-gw": "FORWARD 3 iptables:25 ACCEPT",
                "dc-fw": "FORWARD to-servers 3 iptables:43 ACCEPT", **CORE_APP,
                "<dc-gw": "FORWARD 4 iptables:26 ACCEPT", "<hq-core": "INPUT 1 iptables:19 ACCEPT"}),
    Case(M, USER, "10.255.11.2", "icmp", C, "hq-core hq-gw wan-1", "wan-1 hq-gw hq-core",
         rules={**HQ, "wan-1": "INPUT 1 iptables:24 ACCEPT", "<wan-1": "OUTPUT policy iptables:23 ACCEPT"}),
    Case(M, USER, "10.255.11.2", "22/tcp", T, "hq-core hq-gw wan-1", "", "request",
         {**HQ, "wan-1": "INPUT policy iptables:21 DROP"}),
    Case(M, USER, "10.1.10.21", "22/tcp", C, "", ""),
    Case(M, USER, "10.1.10.21", "icmp", C, "", ""),
)

# A's segment 10.0.1.0/24 - r1 (iptables) - r2 (nftables) - B's segment 10.0.2.0/24: tests/bench/detailed_networks.py
L, A, B = "line", "10.0.1.9", "10.0.2.9"
R1_STATE, R2_STATE = {"<r1": "FORWARD 1 iptables:21 ACCEPT"}, {"<r2": "forward 1 nft:8 ACCEPT"}
R1_TO_R2 = {"r1": "FORWARD 12 iptables:32 ACCEPT"}
R1_LIST = {"r1": "FORWARD 13 iptables:33 ACCEPT"}
BACK = {**R1_STATE, **R2_STATE}
R2_PORTS = {"r2": "forward 5 nft:12 ACCEPT"}


def _at_r1(service: str, outcome: str, rule: str) -> Case:
    return Case(L, A, B, service, outcome, "r1", "", "request", {"r1": rule})


def _at_r2(service: str, outcome: str, rule: str) -> Case:
    return Case(L, A, B, service, outcome, "r1 r2", "", "request", {**R1_TO_R2, "r2": rule})


_LINE = (
    _at_r1("25/tcp", T, "FORWARD 1 iptables:6 DROP"),  # mangle
    _at_r1("26/tcp", T, "POSTROUTING 1 iptables:7 DROP"),  # mangle, after filter has accepted
    _at_r1("30/tcp", R, "FORWARD 3 iptables:23 REJECT"),
    _at_r1("31/tcp", R, "FORWARD 4 iptables:24 REJECT"),
    _at_r1("32/tcp", U, "FORWARD 5 iptables:25 REJECT"),
    _at_r1("33/udp", R, "FORWARD 6 iptables:26 REJECT"),
    _at_r1("34/udp", U, "FORWARD 7 iptables:27 REJECT"),
    _at_r1("icmp", U, "FORWARD 8 iptables:28 REJECT"),
    _at_r1("40/tcp", T, "FORWARD policy iptables:16 DROP"),  # a goto does not come back to outer
    _at_r1("41/tcp", T, "FORWARD outer inner 1 iptables:39 DROP"),
    _at_r1("43/tcp", T, "FORWARD 11 iptables:31 DROP"),  # outer returns it
    _at_r1("60/tcp", T, "FORWARD policy iptables:16 DROP"),
    Case(L, A, B, "42/tcp", C, "r1 r2", "r2 r1", rules={**BACK, "r1": "FORWARD 10 iptables:30 ACCEPT", **R2_PORTS}),
    Case(L, A, B, "44/tcp", C, "r1 r2", "r2 r1",
         rules={**BACK, "r1": "FORWARD outer 4 iptables:38 ACCEPT", **R2_PORTS}),
    _at_r2("50/tcp", T, "forward 2 nft:9 DROP"),  # the map itself drops
    _at_r2("51/tcp", R, "forward 4 nft:11 REJECT"),  # ask returns
    Case(L, "10.0.1.8", B, "51/tcp", C, "r1 r2", "r2 r1",
         rules={**BACK, **R1_TO_R2, "r2": "forward ask 1 nft:17 ACCEPT"}),
    Case(L, A, B, "52/tcp", C, "r1 r2", "r2 r1", rules={**BACK, **R1_TO_R2, "r2": "forward 3 nft:10 ACCEPT"}),
    _at_r2("54/tcp", T, "forward policy nft:7 DROP"),  # goto ask: its end is the base chain's policy
    _at_r2("55/tcp", U, "forward 7 nft:14 REJECT"),
    _at_r2("56/tcp", T, "forward policy nft:7 DROP"),
    Case(L, A, B, "53/udp", C, "r1 r2", "r2 r1",
         rules={"r1": "FORWARD 2 iptables:22 ACCEPT", "r2": "forward 6 nft:13 ACCEPT",
                "<r1": "FORWARD 2 iptables:22 ACCEPT", **R2_STATE}),  # untracked on r1 both ways
    Case(L, A, "192.0.2.80", "80/tcp", C, "r1 r2", "r2 r1", rules={**BACK, **R1_LIST, **R2_PORTS}, source_port=5555,
         nat={"r1": "10.0.1.9:5555 → 192.0.2.80:80 => 10.0.1.9:5555 → 10.0.2.9:8080",
              "<r1": "10.0.2.9:8080 → 10.0.1.9:5555 => 192.0.2.80:80 → 10.0.1.9:5555"}),
    Case(L, A, B, "99/udp", C, "r1 r2", "r2 r1",
         rules={**BACK, "r1": "FORWARD 14 iptables:34 ACCEPT", "r2": "forward 6 nft:13 ACCEPT"}, source_port=5555,
         nat={"r1": "10.0.1.9:5555 → 10.0.2.9:99 => 10.9.0.1:7777 → 10.0.2.9:99"}),
    Case(L, A, B, "99/tcp", C, "r1 r2", "r2 r1", rules={**BACK, **R1_LIST, **R2_PORTS}, source_port=5555,
         nat={"r1": "10.0.1.9:5555 → 10.0.2.9:99 => 10.9.0.1:5555 → 10.0.2.9:99"}),
)

# A - r1 - r2 - B, and back from r2 by r3: whoever has not seen the request does not know the reply
S = "there-and-back"
_REPLIES = (
    Case(S, A, B, "80/tcp", C, "r1 r2", "r2 r3 r1",
         rules={"r1": None, "r2": "FORWARD policy iptables:6 ACCEPT", "<r2": "FORWARD policy iptables:6 ACCEPT",
                "<r3": "FORWARD 1 iptables:3 ACCEPT", "<r1": None}),
    Case(S, A, B, "443/tcp", T, "r1 r2", "r2 r3", "reply", {"<r3": "FORWARD 3 iptables:5 DROP"}),
    Case(S, A, B, "54/udp", T, "r1 r2", "r2 r3", "reply", {"<r3": "FORWARD policy iptables:2 DROP"}),
    Case(S, A, B, "53/udp", T, "r1 r2", "r2 r3", "reply", {"<r3": "FORWARD 2 iptables:4 REJECT"}),
    Case(S, A, B, "icmp", T, "r1 r2", "r2 r3", "reply", {"<r3": "FORWARD 3 iptables:5 DROP"}),
    Case(S, A, B, "82/tcp", T, "r1 r2", "r2", "reply", {"<r2": "FORWARD 1 iptables:7 DROP"}),
    Case(S, A, B, "83/tcp", T, "r1 r2", "r2", "reply", {"<r2": "PREROUTING 1 iptables:2 DROP"}),
    # what B itself begins goes by r3 alone, and is new there
    Case(S, B, A, "80/tcp", T, "r2 r3", "", "request", {"r3": "FORWARD policy iptables:2 DROP"}),
)

# one router with every kind of way on, and what answers there
W, D = "ways", "10.0.3.9"
_WAYS = (
    Case(W, A, B, "80/tcp", C, "r1 r2", "r2 r1", rules={"r1": None}),
    Case(W, A, B, "443/tcp", C, "r1 r4", "r2 r1"),  # marked, so table 7 and r4
    Case(W, A, B, "53/udp", C, "r1 r4", "r2 r1"),  # by its port, table 7 and r4
    Case(W, A, "10.66.0.1", "80/tcp", T, "r1", "", "request", {"r1": None}),  # blackhole
    Case(W, A, "10.67.0.1", "80/tcp", U, "r1", "", "request", {"r1": None}),  # unreachable
    Case(W, A, "10.68.0.1", "80/tcp", U, "r1", "", "request", {"r1": None}),  # prohibit
    Case(W, A, "10.69.0.1", "80/udp", U, "r1 r2", "", "request", {"r1": None}),  # no route on r2
    Case(W, A, "10.77.0.1", "80/tcp", U, "r1 r2", "", "nowhere"),  # a loop: its TTL ends
    Case(W, A, D, "80/tcp", C, "r1 r3", "r3 r1"),  # a tunnel without a next hop
    Case(W, A, "192.0.2.9", "80/tcp", C, "r1", "r1"),  # beyond the provider's gateway
    Case(W, "192.0.2.9", A, "80/tcp", C, "r1", "r1"),
    Case(W, "198.51.100.1", A, "80/tcp", C, "r1", "r1"),  # that gateway itself
    Case(W, A, "10.0.2.1", "22/tcp", C, "r1 r2", "r2 r1",
         rules={"r2": "INPUT 2 iptables:5 ACCEPT", "<r2": "OUTPUT policy iptables:3 ACCEPT"}),
    Case(W, A, "10.0.2.1", "23/tcp", T, "r1 r2", "", "request", {"r2": "INPUT policy iptables:2 DROP"}),
    Case(W, A, "10.0.2.1", "24/tcp", R, "r1 r2", "", "request", {"r2": "INPUT 3 iptables:6 REJECT"}),
    Case(W, A, "10.0.2.1", "25/tcp", T, "r1 r2", "r2", "reply",
         {"r2": "INPUT 4 iptables:7 ACCEPT", "<r2": "OUTPUT 1 iptables:8 DROP"}),
    Case(W, "10.0.2.1", A, "80/tcp", C, "r2 r1", "r1 r2",
         rules={"r2": "OUTPUT policy iptables:3 ACCEPT", "<r2": "INPUT 1 iptables:4 ACCEPT"}),
    Case(W, "10.0.2.1", A, "26/tcp", T, "r2", "", "request", {"r2": "OUTPUT 2 iptables:9 DROP"}),
    Case(W, "10.0.2.1", A, "27/tcp", R, "r2", "", "request", {"r2": "OUTPUT 3 iptables:10 REJECT"}),
    Case(W, A, "10.0.1.1", "8443/tcp", C, "r1", "r1", source_port=5555,
         nat={"r1": "10.0.1.9:5555 → 10.0.1.1:8443 => 10.0.1.1:5555 → 10.0.1.50:443",
              "<r1": "10.0.1.50:443 → 10.0.1.1:5555 => 10.0.1.1:8443 → 10.0.1.9:5555"}),
    Case(W, A, "10.0.1.50", "22/tcp", C, "", ""),
)
# fmt: on

CASES = (
    *_SERVERS, *_DNS_AND_VOICE, *_DMZ_AND_DATA_CENTRE, *_BRANCH, *_INTERNET, *_PARTNER_WIFI_ROUTERS,
    *_LINE, *_REPLIES, *_WAYS,
)  # fmt: skip
