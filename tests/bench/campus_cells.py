"""Verdicts for networks/campus, read from the rules by hand.

Nothing here was produced by running anything: each cell is what an engineer who reads the eleven
routers' files would answer, so the cells are a check on the bench and not an echo of it. When a cell and the
bench disagree, read the rule named in `why` first.

How the cells were read:

* only the request counts, as the first packet of a new connection, with DSCP 0;
* `path` goes on behind a router that drops: the packet is then as that router's own routing decision had it.
  What it had passed by then has been applied (DNAT in PREROUTING when filter FORWARD drops), what it had not
  reached has not (SNAT in POSTROUTING; DNAT when raw drops);
* a path may visit a router twice when the packet changed in between (NAT hairpin). It is a loop when a router
  gets the same packet again; the path then ends before the repeat;
* a router without a way on (no route, blackhole, unreachable, a neighbour that cannot be there) blocks it;
* a source port that is not given is an ordinary high one (1024 or above).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One expected answer: may `source` reach `destination` on `service` ("443/tcp", "53/udp", "icmp")?"""

    source: str
    destination: str
    service: str
    verdict: str
    """"YES" or "NO"."""
    path: tuple[str, ...]
    """Routers in the order the request meets them; empty when source and destination are neighbours."""
    blocked_by: tuple[str, ...]
    """Every router of the path that drops it, in the order they are met, each once."""
    why: str
    """Where to read it: router, chain, rule."""
    source_port: int | None = None
    reason_has: str | None = None
    """A word the result's `reason` must contain."""
    caveat_has: str | None = None
    """The router that one of the result's `caveats` must name."""


# Who is who. The names are the segments' and the roles' in docs/networks.md.
USER = "10.1.10.20"  # hq user
ANALYST = "10.1.10.40"  # hq user inside 10.1.10.32/27, may use the database
LAB = "10.1.10.70"  # hq user inside 10.1.10.64/26, the nomatch of app-clients
PHONE = "10.1.20.5"
STAFF = "10.1.30.20"  # wifi, lower half
GUEST = "10.1.30.200"  # wifi, upper half: masqueraded as 10.255.1.3
ADMIN = "10.1.99.10"
TRAINEE = "10.1.99.12"  # management network, but in no admin set
CLERK = "10.2.10.9"  # branch user
TILL = "10.2.20.7"  # branch point of sale
APP = "10.3.20.8"
DNS = "10.3.20.53"
SIP = "10.3.20.30"
DB = "10.3.40.5"
SICK = "10.3.66.9"  # quarantine network
WEB = "10.3.80.10"  # dmz
APP_IN_DMZ = "10.3.80.100"  # nobody's address: dc-fw turns its 443 into 10.3.20.8:8443
POD = "10.3.130.7"  # behind 10.3.20.254, a router that is not ours
PARTNER = "172.20.5.9"  # behind 172.16.9.2, likewise
INTERNET = "192.0.2.77"
SITE = "192.0.2.80"  # some web site
PUBLIC = "203.0.113.3"  # edge's, with the DNAT rules

# The ways between sites.
HQ_DC_1 = ("hq-core", "hq-gw", "wan-1", "dc-gw", "dc-fw", "dc-core")
HQ_DC_2 = ("hq-core", "hq-gw", "wan-2", "dc-gw", "dc-fw", "dc-core")
HQ_DMZ_1 = HQ_DC_1[:-1]
HQ_DMZ_2 = HQ_DC_2[:-1]
HQ_BR = ("hq-core", "hq-gw", "wan-1", "br-gw", "br-lan")
HQ_OUT = ("hq-core", "hq-gw", "edge")
WIFI_DC_1 = ("hq-wifi", "hq-gw", "wan-1", "dc-gw", "dc-fw", "dc-core")
WIFI_DC_2 = ("hq-wifi", "hq-gw", "wan-2", "dc-gw", "dc-fw", "dc-core")
BR_DC = ("br-lan", "br-gw", "wan-1", "dc-gw", "dc-fw", "dc-core")
BR_DC_TUNNEL = ("br-lan", "br-gw", "hq-gw", "wan-1", "dc-gw", "dc-fw", "dc-core")
BR_HQ = ("br-lan", "br-gw", "wan-1", "hq-gw", "hq-core")
BR_HQ_TUNNEL = ("br-lan", "br-gw", "hq-gw", "hq-core")
DC_HQ_1 = ("dc-core", "dc-fw", "dc-gw", "wan-1", "hq-gw", "hq-core")
DC_HQ_2 = ("dc-core", "dc-fw", "dc-gw", "wan-2", "hq-gw", "hq-core")
DC_BR = ("dc-core", "dc-fw", "dc-gw", "wan-1", "br-gw", "br-lan")
DC_OUT = ("dc-core", "dc-fw", "dc-gw", "wan-1", "hq-gw", "edge")
DC_LOST = ("dc-core", "dc-fw", "dc-gw", "wan-2")  # wan-2 knows 10.1.0.0/16 and 10.3.0.0/16 only
IN_DMZ = ("edge", "hq-gw", "wan-1", "dc-gw", "dc-fw")
HAIRPIN = ("hq-core", "hq-gw", "edge", "hq-gw", "wan-1", "dc-gw", "dc-fw")

# One cell, two or three lines.
# fmt: off
_TO_SERVERS = (
    # hq users to the servers: two ways, an ipset, nested chains, nft behind iptables
    Cell(USER, APP, "443/tcp", "YES", HQ_DC_2, (),
         "hq-gw mangle marks 443 with 2, rule 100 looks up table 102, via wan-2; dc-fw to-servers:"
         " app-clients and app-ports; dc-core to_servers: tcp . 443"),
    Cell(USER, APP, "8443/tcp", "YES", HQ_DC_2, (),
         "hq-gw marks 8443 as well; 8443 is in dc-fw app-ports and dc-core server_services"),
    Cell(USER, APP, "80/tcp", "YES", HQ_DC_1, (),
         "not marked, so main: via wan-1; 80 is in dc-fw app-ports and dc-core server_services"),
    Cell(USER, APP, "8080/tcp", "NO", HQ_DC_1, ("dc-core",),
         "dc-fw app-ports has 8080, dc-core server_services has not (8080 only to 10.3.128.0/17): reject"),
    Cell(USER, APP, "22/tcp", "NO", HQ_DC_1, ("dc-fw", "dc-core"),
         "dc-fw: not in admins, 22 not in app-ports, policy DROP; dc-core: not in ssh_from, reject"),
    Cell(USER, APP, "icmp", "YES", HQ_DC_1, (),
         "dc-fw icmp-in: echo request from 10.0.0.0/8; dc-core forward: accepted within its rate limit",
         caveat_has="dc-core"),
    Cell(USER, APP, "23/tcp", "NO", HQ_DC_1, ("wan-1", "dc-fw", "dc-core"),
         "wan-1 raw PREROUTING drops 23; 23 in no list of dc-fw or dc-core"),
    Cell(USER, APP, "1900/udp", "NO", HQ_DC_1, ("wan-1", "dc-fw", "dc-core"),
         "wan-1 raw PREROUTING drops udp 1900; dc-fw policy; dc-core reject"),
    Cell(USER, APP, "445/tcp", "NO", HQ_DC_1, ("hq-gw", "dc-fw", "dc-core"),
         "hq-gw mangle PREROUTING drops 135,139,445; dc-fw policy; dc-core reject"),
    Cell(USER, APP, "25/tcp", "NO", HQ_DC_1, ("hq-core", "dc-fw", "dc-core"),
         "hq-core users-out: 25 REJECT with tcp-reset; dc-fw policy; dc-core reject"),
    Cell(LAB, APP, "443/tcp", "NO", HQ_DC_2, ("dc-fw",),
         "dc-fw app-clients: 10.1.10.64/26 nomatch inside 10.1.10.0/24, so policy DROP"),
    Cell("10.1.10.128", APP, "443/tcp", "YES", HQ_DC_2, (),
         "first address behind the nomatch 10.1.10.64/26: app-clients has it again"),
    Cell(USER, "10.3.20.210", "443/tcp", "NO", HQ_DC_2, ("dc-core",),
         "dc-core forward: daddr in quarantined (10.3.20.200-219) is logged and dropped"),
    Cell(ADMIN, APP, "22/tcp", "YES", HQ_DC_1, (),
         "hq-core -i eth2 ACCEPT; dc-fw to-servers: admins, admin-any 22; dc-core ssh_from"),
    Cell(TRAINEE, APP, "22/tcp", "NO", HQ_DC_1, ("dc-fw", "dc-core"),
         "10.1.99.12 is neither in dc-fw admins nor in dc-core ssh_from"),
    Cell(ADMIN, APP, "9050/tcp", "NO", HQ_DC_1, ("dc-core",),
         "dc-fw admin-any accepts 9000:9100; dc-core server_services does not know it: reject"),
    Cell(ADMIN, APP, "443/tcp", "NO", HQ_DC_2, ("dc-fw",),
         "dc-fw admin-any returns on 443, 10.1.99.0/24 is not in app-clients: policy DROP"),
    Cell(USER, DB, "5432/tcp", "NO", HQ_DC_1, ("dc-fw",),
         "dc-fw to-db: 10.1.10.20 is not in 10.1.10.32/27: REJECT; dc-core to_db takes 5432"),
    Cell(ANALYST, DB, "5432/tcp", "YES", HQ_DC_1, (),
         "dc-fw to-db: -s 10.1.10.32/27 5432; dc-core to_db 5432"),
    Cell(ANALYST, DB, "443/tcp", "NO", HQ_DC_2, ("dc-fw", "dc-core"),
         "dc-fw goes to to-db before app-clients is asked: REJECT; dc-core to_db has 5432 only"),
    Cell(ADMIN, DB, "5432/tcp", "NO", HQ_DC_1, ("dc-fw",),
         "dc-fw to-db: admins go to admin-any, which returns on 5432; then REJECT"),
    Cell(ADMIN, DB, "22/tcp", "YES", HQ_DC_1, (),
         "dc-fw to-db, admin-any 22; dc-core forward: dport 22 from ssh_from"),
)

_DNS = (
    # untracked DNS on dc-gw, source ports on hq-core
    Cell(USER, DNS, "53/udp", "YES", HQ_DC_1, (),
         "hq-core users-out sport 1024+; dc-gw raw NOTRACK, FORWARD -d 10.3.20.53 53 UNTRACKED; dc-fw"
         " to-servers 53; dc-core udp . 53"),
    Cell(USER, DNS, "53/udp", "NO", HQ_DC_1, ("hq-core",),
         "hq-core users-out: udp 53 from a port below 1024 misses the accept and is dropped", source_port=53),
    Cell(USER, APP, "53/udp", "NO", HQ_DC_1, ("dc-gw",),
         "dc-gw: untracked, so neither the rule for 10.3.20.53 nor ctstate NEW matches: policy DROP; dc-fw"
         " and dc-core accept 53 to all servers"),
    Cell(USER, APP, "53/tcp", "YES", HQ_DC_1, (),
         "dc-gw NOTRACK is for udp; new-conn -s 10.1.0.0/16; dc-fw to-servers tcp 53; dc-core tcp . 53"),
    Cell(DNS, "192.0.2.53", "53/udp", "NO", DC_OUT, ("dc-gw",),
         "dc-gw: raw NOTRACK by dport 53; the rule for its answers wants sport 53; NEW does not match:"
         " policy DROP; edge out would accept"),
    Cell(DNS, "192.0.2.53", "53/udp", "NO", DC_LOST, ("wan-2",),
         "dc-gw rule 110 (from 10.3.20.53 udp sport 53) looks up table 132: via wan-2, which has no"
         " default route", source_port=53, reason_has="no route"),
    Cell(DNS, USER, "40000/udp", "NO", DC_HQ_2, ("hq-core",),
         "dc-gw rule 110: via wan-2, accepted as UNTRACKED sport 53; hq-core from eth0 to eth1 takes icmp"
         " only", source_port=53),
    Cell(DNS, USER, "40000/udp", "NO", DC_HQ_1, ("hq-core",),
         "an ordinary source port: dc-gw main, via wan-1, new-conn -i eth2; hq-core policy DROP"),
    Cell(WEB, DNS, "53/udp", "YES", ("dc-fw", "dc-core"), (),
         "dc-fw from-dmz: -d 10.3.20.53 udp 53; dc-core udp . 53"),
    Cell("172.16.9.2", DNS, "53/udp", "YES", ("dc-gw", "dc-fw", "dc-core"), (),
         "dc-gw: the UNTRACKED accept stands before the partner chain; dc-fw to-servers 53; dc-core udp ."
         " 53"),
)

_VOICE = (
    # DSCP set and matched, policy rule by source and port, a way back that differs
    Cell(PHONE, SIP, "5060/udp", "YES", HQ_DC_2, (),
         "hq-core mangle sets DSCP 0x1a, its voice-out wants just that; hq-gw rule 120 (from 10.1.20.0/24"
         " udp 5060-5061) looks up table 103, via wan-2; dc-fw to-servers 5060 to 10.3.20.30; dc-core udp"
         " . 5060", caveat_has="hq-core"),
    Cell(PHONE, "10.3.20.31", "5060/udp", "NO", HQ_DC_2, ("dc-fw",),
         "dc-fw lets phones use 5060 on 10.3.20.30 only; dc-core has udp . 5060"),
    Cell(USER, APP, "5060/udp", "NO", HQ_DC_1, ("hq-core", "dc-fw"),
         "hq-core users-out: 5060 with DSCP 0x1a only, and the packet has 0; hq-gw rule 120 is for"
         " 10.1.20.0/24; dc-fw policy; dc-core has udp . 5060"),
    Cell(PHONE, APP, "5061/tcp", "YES", HQ_DC_1, (),
         "hq-core voice-out 443,5061; hq-gw rule 120 is udp only: wan-1; dc-fw -s 10.1.20.0/24 5061;"
         " dc-core tcp . 5061"),
    Cell(PHONE, APP, "443/tcp", "NO", HQ_DC_2, ("dc-fw",),
         "hq-core voice-out 443; hq-gw mark; dc-fw: 10.1.20.0/24 not in app-clients"),
    Cell(PHONE, SIP, "5004/udp", "NO", HQ_DC_1, ("hq-core", "dc-core"),
         "hq-core voice-out returns, policy DROP; dc-fw accepts 5004; dc-core wants dscp af41 on 5004, the"
         " packet has 0"),
    Cell(PHONE, SIP, "20000/udp", "NO", HQ_DC_1, ("dc-fw", "dc-core"),
         "hq-core voice-out 16384:32767; dc-fw policy; dc-core reject"),
    Cell(PHONE, APP, "icmp", "YES", HQ_DC_1, (),
         "hq-core voice-out icmp; hq-gw main: via wan-1 (the answer comes by wan-2)"),
    Cell(APP, PHONE, "icmp", "NO", DC_HQ_2, ("hq-core",),
         "dc-gw route 10.1.20.0/24 via wan-2; hq-core from eth0 takes icmp to eth1, not to eth1.20: policy"
         " DROP"),
    Cell(SIP, PHONE, "5060/udp", "YES", DC_HQ_2, (),
         "dc-gw route 10.1.20.0/24 via wan-2; hq-core -i eth0 -o eth1.20 udp 5060"),
    Cell(PHONE, USER, "icmp", "YES", ("hq-core",), (), "hq-core voice-out icmp"),
    Cell(PHONE, USER, "443/tcp", "NO", ("hq-core",), ("hq-core",),
         "hq-core voice-out: 443 to 10.3.20.0/24 only; returns to FORWARD, policy DROP"),
    Cell(USER, PHONE, "443/tcp", "YES", ("hq-core",), (), "hq-core users-out, last rule"),
    Cell(USER, PHONE, "5060/udp", "NO", ("hq-core",), ("hq-core",),
         "hq-core users-out: 5060 without DSCP 0x1a"),
)

_DMZ = (
    Cell(USER, WEB, "443/tcp", "YES", HQ_DMZ_2, (), "hq-gw mark, wan-2; dc-fw to-dmz 80,443"),
    Cell(USER, WEB, "80/tcp", "YES", HQ_DMZ_1, (), "not marked, wan-1; dc-fw to-dmz 80,443"),
    Cell(USER, WEB, "8080/tcp", "NO", HQ_DMZ_1, ("dc-fw",),
         "dc-fw to-dmz: 8080 from 10.3.20.0/24 only, else REJECT with tcp-reset"),
    Cell(USER, WEB, "22/tcp", "NO", HQ_DMZ_1, ("dc-fw",), "dc-fw to-dmz: 22 for admins; LOG, DROP"),
    Cell(ADMIN, WEB, "22/tcp", "YES", HQ_DMZ_1, (), "dc-fw to-dmz: 22, admins src"),
    Cell(USER, APP_IN_DMZ, "443/tcp", "YES", HQ_DC_2, (),
         "dc-fw nat PREROUTING: to 10.3.20.8:8443; so out eth1, to-servers: app-clients, 8443; dc-core tcp"
         " . 8443"),
    Cell(LAB, APP_IN_DMZ, "443/tcp", "NO", HQ_DC_2, ("dc-fw",),
         "after the DNAT dc-fw to-servers decides: nomatch in app-clients, policy DROP; dc-core tcp . 8443"),
    Cell(USER, APP_IN_DMZ, "80/tcp", "YES", HQ_DMZ_1, (),
         "no DNAT for 80: an address of the dmz as any other, dc-fw to-dmz 80"),
    Cell(APP, WEB, "8080/tcp", "YES", ("dc-core", "dc-fw"), (),
         "dc-core from_servers, last rule; dc-fw to-dmz: 8080 from 10.3.20.0/24"),
    Cell(APP, WEB, "22/tcp", "NO", ("dc-core", "dc-fw"), ("dc-fw",),
         "dc-fw asks to-dmz (-o eth2) before its -i eth1 ACCEPT: not in admins, DROP"),
    Cell(WEB, DB, "5432/tcp", "YES", ("dc-fw", "dc-core"), (),
         "dc-fw from-dmz 5432 (asked before to-servers); dc-core to_db 5432"),
    Cell(WEB, APP, "443/tcp", "NO", ("dc-fw", "dc-core"), ("dc-fw",),
         "dc-fw from-dmz: -d 10.0.0.0/8 DROP; dc-core tcp . 443"),
    Cell(WEB, SITE, "443/tcp", "YES", ("dc-fw", "dc-gw", "wan-1", "hq-gw", "edge"), (),
         "dc-fw from-dmz 80,443; dc-gw new-conn -i eth2; default of wan-1 is hq-gw; edge out 80,443"),
)

_DATA_CENTRE = (
    Cell(APP, DB, "5432/tcp", "YES", ("dc-core",), (), "dc-core from_servers: 10.3.20.8-9 to eth3.40 5432"),
    Cell("10.3.20.10", DB, "5432/tcp", "NO", ("dc-core",), ("dc-core",),
         "dc-core from_servers: oif eth3.40 drop"),
    Cell(DB, APP, "443/tcp", "NO", ("dc-core",), ("dc-core",), "dc-core from_db: only out of bond0; drop"),
    Cell("10.3.20.205", WEB, "80/tcp", "NO", ("dc-core", "dc-fw"), ("dc-core",),
         "dc-core forward: saddr in quarantined; dc-fw to-dmz takes 80"),
    Cell(APP, USER, "icmp", "YES", DC_HQ_1, (),
         "dc-core: within its limit, beyond it by from_servers; dc-fw icmp-in; hq-core -i eth0 -o eth1 icmp"),
    Cell(APP, USER, "443/tcp", "NO", DC_HQ_1, ("hq-core",),
         "hq-gw marks what enters by eth0 only; hq-core from eth0 to eth1: icmp only, policy DROP"),
    Cell(APP, ADMIN, "514/udp", "YES", DC_HQ_1, (), "hq-core mgmt-in: 514 from 10.3.0.0/16"),
    Cell(APP, ADMIN, "22/tcp", "NO", DC_HQ_1, ("hq-core",), "hq-core mgmt-in, last rule: DROP"),
    Cell(DB, ADMIN, "6514/tcp", "YES", DC_HQ_2, (),
         "dc-core from_db: to 10.1.99.0/24; dc-gw rule 100 (from 10.3.40.0/24) table 132: wan-2; hq-core"
         " mgmt-in 6514"),
    Cell(DB, CLERK, "5432/tcp", "NO", DC_LOST, ("wan-2",),
         "dc-core from_db 5432; dc-gw rule 100: via wan-2, which has no route to 10.2.0.0/16",
         reason_has="no route"),
    Cell(DB, CLERK, "22/tcp", "NO", DC_LOST, ("dc-core", "wan-2"),
         "dc-core from_db: drop; and wan-2 has no route", reason_has="no route"),
    Cell(DB, PARTNER, "443/tcp", "NO", DC_LOST, ("wan-2",),
         "dc-gw rule 100 comes before the partner's route in main: table 132, wan-2, no route",
         reason_has="no route"),
    Cell(APP, SITE, "443/tcp", "YES", DC_OUT, (), "dc-fw -i eth1; dc-gw -i eth2; edge out 80,443"),
    Cell(APP, SITE, "22/tcp", "NO", DC_OUT, ("edge",), "edge out: -s 10.3.0.0/16 DROP stands before 22,993"),
    # quarantine: wan-1 blackholes it, wan-2 has forgotten to
    Cell(USER, SICK, "80/tcp", "NO", ("hq-core", "hq-gw", "wan-1"), ("wan-1",),
         "wan-1: blackhole 10.3.66.0/24", reason_has="blackhole"),
    Cell(USER, SICK, "443/tcp", "YES", HQ_DC_2, (),
         "marked, so past wan-1's blackhole; dc-fw to-servers app-clients, 443; dc-core to_quarantine 443"),
    Cell(CLERK, SICK, "443/tcp", "NO", ("br-lan", "br-gw", "wan-1"), ("wan-1",),
         "the branch's https takes wan-1 like all: blackhole", reason_has="blackhole"),
    Cell(SICK, APP, "443/tcp", "NO", ("dc-core",), ("dc-core",), "dc-core forward: iif eth4 drop"),
    # pods behind a router that is not ours, in the servers' own segment
    Cell(APP, POD, "8080/tcp", "YES", ("dc-core",), (),
         "in and out by eth2: dc-core from_servers: oif eth2 8080; next hop 10.3.20.254 is nobody's"),
    Cell(APP, POD, "443/tcp", "NO", ("dc-core",), ("dc-core",), "dc-core from_servers: oif eth2 drop"),
    Cell(USER, POD, "8080/tcp", "YES", HQ_DC_1, (),
         "dc-fw route 10.3.128.0/17, to-servers app-ports 8080; dc-core to_servers: 10.3.128.0/17 8080"),
    Cell(POD, WEB, "80/tcp", "YES", ("dc-core", "dc-fw"), (),
         "enters where the answer leaves: dc-core eth2; from_servers, last rule; dc-fw to-dmz 80"),
    Cell(POD, WEB, "8080/tcp", "NO", ("dc-core", "dc-fw"), ("dc-fw",),
         "dc-fw to-dmz: 8080 from 10.3.20.0/24, a pod is 10.3.130.7: REJECT"),
)

_BRANCH = (
    Cell(CLERK, APP, "443/tcp", "YES", BR_DC, (),
         "br-gw to-corp -d 10.3.0.0/16; dc-gw branch; dc-fw app-clients 10.2.10.0/24; dc-core tcp . 443"),
    Cell(CLERK, APP, "22/tcp", "NO", BR_DC_TUNNEL, ("dc-fw", "dc-core"),
         "br-gw rule 100 (tcp dport 22) table 200: wg0; hq-gw from-tunnel 22; table 105 has only"
         " 10.3.40.0/24, so main: wan-1; dc-fw policy; dc-core reject"),
    Cell(CLERK, DB, "22/tcp", "NO", ("br-lan", "br-gw", "hq-gw"), ("hq-gw",),
         "br-gw rule 100: wg0; hq-gw rule 130 (iif wg0) table 105: blackhole 10.3.40.0/24",
         reason_has="blackhole"),
    Cell(CLERK, DB, "5432/tcp", "NO", BR_DC, ("dc-fw",), "dc-fw to-db: REJECT; dc-core to_db 5432"),
    Cell(TILL, APP, "8443/tcp", "YES", BR_DC, (),
         "dc-gw branch: pos-servers dst,dst has 10.3.20.8 8443; dc-fw -d 10.3.20.8/31 8443; dc-core tcp ."
         " 8443"),
    Cell(TILL, "10.3.20.9", "8443/tcp", "NO", BR_DC, ("dc-gw",),
         "10.3.20.9 is in dc-fw's 10.3.20.8/31 but not in dc-gw's pos-servers"),
    Cell(TILL, "10.3.20.10", "8443/tcp", "NO", BR_DC, ("dc-fw",),
         "10.3.20.10 is in dc-gw's pos-servers but not in dc-fw's 10.3.20.8/31"),
    Cell(TILL, USER, "443/tcp", "NO", BR_HQ, ("wan-1", "hq-core"),
         "wan-1 FORWARD: 10.2.20.0/24 to 10.1.0.0/16 DROP; hq-core policy"),
    Cell(CLERK, PHONE, "5060/udp", "YES", BR_HQ, (),
         "br-gw to-corp: sport 5060 dport 5060; hq-core -i eth0 -o eth1.20 5060", source_port=5060),
    Cell(CLERK, PHONE, "5060/udp", "NO", BR_HQ, ("br-gw",),
         "br-gw to-corp wants source port 5060 too; to-corp, last rule: DROP"),
    Cell(TILL, PHONE, "5060/udp", "NO", BR_HQ, ("wan-1",),
         "br-gw to-corp accepts; wan-1 FORWARD: 10.2.20.0/24 to 10.1.0.0/16 DROP", source_port=5060),
    Cell(CLERK, USER, "22/tcp", "NO", BR_HQ_TUNNEL, ("hq-core",),
         "br-gw rule 100: wg0; hq-gw from-tunnel 22 from 10.2.10.0/24; hq-core policy"),
    Cell(CLERK, USER, "443/tcp", "NO", BR_HQ, ("hq-core",), "br-gw to-corp 443; hq-core policy"),
    Cell(TILL, ADMIN, "22/tcp", "NO", BR_HQ_TUNNEL, ("hq-gw", "hq-core"),
         "hq-gw from-tunnel: 22 from 10.2.10.0/24 only, LOG, DROP; hq-core mgmt-in DROP"),
    Cell(CLERK, TILL, "9100/tcp", "NO", ("br-lan",), ("br-lan",), "br-lan FORWARD: eth1 to eth1.20 DROP"),
    Cell(TILL, CLERK, "80/tcp", "NO", ("br-lan",), ("br-lan",), "br-lan FORWARD: eth1.20 to eth1 REJECT"),
    Cell(USER, CLERK, "3389/tcp", "YES", HQ_BR, (),
         "hq-gw: 10.2.0.0/16 metric 100 by wan-1 before metric 200 by wg0; br-gw from-corp 80,3389; br-lan"
         " policy"),
    Cell(USER, TILL, "80/tcp", "NO", HQ_BR, ("br-lan",),
         "br-gw from-corp 80; br-lan FORWARD: eth0 to eth1.20, anything but 9100 DROP"),
    Cell(USER, TILL, "9100/tcp", "NO", HQ_BR, ("br-gw",),
         "br-gw from-corp, last rule: DROP; br-lan takes 9100"),
    Cell(APP, TILL, "9100/tcp", "YES", DC_BR, (),
         "br-gw from-corp: 10.3.20.0/24 to 10.2.20.0/24 9100; br-lan ! 9100"),
    Cell(ADMIN, CLERK, "22/tcp", "YES", HQ_BR, (),
         "wan-1 mangle drops TOS 0x80/0x80, the packet has 0; br-gw from-corp 10.1.99.0/24"),
    Cell(ADMIN, CLERK, "23/tcp", "NO", HQ_BR, ("wan-1",), "wan-1 raw PREROUTING 23; br-gw and br-lan accept"),
    Cell(ADMIN, CLERK, "445/tcp", "NO", HQ_BR, ("hq-gw",), "hq-gw mangle PREROUTING 445; all others accept"),
    Cell(ADMIN, CLERK, "137/udp", "NO", HQ_BR, ("br-lan",),
         "br-lan raw PREROUTING 137,138; all others accept"),
)

_INTERNET = (
    # out
    Cell(USER, SITE, "443/tcp", "YES", HQ_OUT, (), "not to 10.3.0.0/16, so no mark; edge out 80,443"),
    Cell(USER, SITE, "25/tcp", "NO", HQ_OUT, ("hq-core", "edge"),
         "hq-core users-out 25 REJECT; edge out, last: REJECT"),
    Cell(USER, "192.0.2.53", "53/udp", "NO", HQ_OUT, ("edge",),
         "edge out: 53 from 10.3.20.53 only; last rule REJECT"),
    Cell(USER, SITE, "3389/tcp", "NO", HQ_OUT, ("edge",), "edge out, last rule: REJECT"),
    Cell(ADMIN, SITE, "3389/tcp", "YES", HQ_OUT, (), "edge out: -s 10.1.99.0/24"),
    Cell(USER, SITE, "icmp", "YES", HQ_OUT, (), "edge out: icmp"),
    Cell(USER, "203.0.113.5", "443/tcp", "YES", HQ_OUT, (), "a neighbour on edge's eth1; edge out 80,443"),
    Cell(CLERK, SITE, "443/tcp", "YES", ("br-lan", "br-gw"), (),
         "br-gw default is its own: to-internet 80,443"),
    Cell(CLERK, SITE, "22/tcp", "YES", ("br-lan", "br-gw", "hq-gw", "edge"), (),
         "br-gw rule 100: wg0, FORWARD 22; hq-gw from-tunnel 22, default: edge; edge out 22,993"),
    Cell(CLERK, SITE, "25/tcp", "NO", ("br-lan", "br-gw"), ("br-gw",),
         "br-gw to-internet, last rule: REJECT"),
    Cell(CLERK, SITE, "icmp", "YES", ("br-lan", "br-gw"), (),
         "br-gw FORWARD: icmp within its limit", caveat_has="br-gw"),
    Cell(TILL, SITE, "443/tcp", "NO", ("br-lan", "br-gw"), ("br-gw",),
         "br-gw to-internet: 10.2.20.0/24 DROP"),
    # in, with DNAT
    Cell(INTERNET, PUBLIC, "443/tcp", "YES", IN_DMZ, (),
         "edge DNAT to 10.3.80.10, FORWARD ctstate DNAT; hq-gw from-edge 443, no mark on eth3: wan-1;"
         " dc-gw new-conn -d 10.3.80.0/24; dc-fw to-dmz 443", caveat_has="edge"),
    Cell(INTERNET, PUBLIC, "80/tcp", "YES", IN_DMZ, (), "as 443", caveat_has="edge"),
    Cell("203.0.113.1", PUBLIC, "443/tcp", "YES", IN_DMZ, (),
         "a neighbour of edge, and edge's own address: DNAT first, then as from anywhere"),
    Cell(INTERNET, PUBLIC, "8888/tcp", "NO", IN_DMZ, ("dc-fw",),
         "edge DNAT to 8080, which hq-gw from-edge and dc-gw accept; dc-fw to-dmz 8080 REJECT"),
    Cell(INTERNET, PUBLIC, "2222/tcp", "NO", IN_DMZ, ("hq-gw", "dc-gw", "dc-fw"),
         "edge DNAT to 22 and accepts; hq-gw from-edge DROP; dc-gw new-conn has no rule, policy; dc-fw"
         " to-dmz DROP"),
    Cell(INTERNET, PUBLIC, "5060/udp", "YES", ("edge", "hq-gw", "hq-core"), (),
         "edge DNAT to 10.1.20.5; hq-gw from-edge 5060; hq-core -i eth0 -o eth1.20 5060"),
    Cell(INTERNET, PUBLIC, "25/tcp", "NO", ("edge",), ("edge",), "no DNAT for 25: edge INPUT policy DROP"),
    Cell(INTERNET, PUBLIC, "443/tcp", "NO", ("edge",), ("edge",),
         "edge raw PREROUTING: source ports 0:1023 by eth1 DROP, which is before the DNAT", source_port=80),
    Cell(INTERNET, "203.0.113.2", "22/tcp", "NO", ("edge",), ("edge",),
         "edge INPUT: 22 by eth0 from 10.1.99.0/24"),
    Cell(INTERNET, "203.0.113.2", "icmp", "NO", ("edge",), ("edge",), "edge INPUT: icmp by eth0 only"),
    Cell("192.168.7.7", "203.0.113.2", "icmp", "NO", ("edge",), ("edge",),
         "edge raw PREROUTING: 192.168.0.0/16 by eth1"),
    Cell(INTERNET, USER, "443/tcp", "NO", ("edge", "hq-gw", "hq-core"), ("edge", "hq-gw", "hq-core"),
         "edge FORWARD: not DNAT, policy; hq-gw from-edge DROP; hq-core policy"),
    Cell(INTERNET, WEB, "443/tcp", "NO", IN_DMZ, ("edge",),
         "the private address itself: edge FORWARD wants ctstate DNAT, policy DROP; the others take 443"),
    Cell(INTERNET, "198.51.100.2", "8022/tcp", "YES", ("br-gw", "br-lan"), (),
         "br-gw DNAT to 10.2.10.10:22, FORWARD ctstate DNAT; br-lan policy"),
    Cell(INTERNET, "198.51.100.2", "22/tcp", "NO", ("br-gw",), ("br-gw",),
         "br-gw INPUT: 22 from 10.1.99.0/24"),
    Cell(INTERNET, "198.51.100.2", "51820/udp", "YES", ("br-gw",), (), "br-gw INPUT: 51820"),
    Cell(INTERNET, "10.2.10.10", "22/tcp", "NO", ("br-gw", "br-lan"), ("br-gw",),
         "enters where the answer leaves: br-gw eth1; FORWARD wants ctstate DNAT, policy DROP"),
    # hairpin: an inside client uses the public address
    Cell(USER, PUBLIC, "443/tcp", "YES", HAIRPIN, (),
         "edge DNAT, hairpin 80,443, SNAT to 10.255.15.2; back to hq-gw by eth3: from-edge 443; dc-gw"
         " natted; dc-fw to-dmz"),
    Cell(USER, PUBLIC, "8888/tcp", "NO", HAIRPIN, ("edge", "dc-fw"),
         "edge hairpin: 8080 DROP, so no SNAT; hq-gw from-edge 8080; dc-gw -s 10.1.0.0/16; dc-fw to-dmz"
         " REJECT"),
    Cell(USER, PUBLIC, "2222/tcp", "NO", HAIRPIN, ("edge", "hq-gw", "dc-fw"),
         "edge hairpin: 22 DROP; hq-gw from-edge DROP on the second visit; dc-gw -s 10.1.0.0/16; dc-fw"
         " to-dmz DROP"),
)

_PARTNER = (
    Cell(PARTNER, APP, "1521/tcp", "YES", ("dc-gw", "dc-fw", "dc-core"), (),
         "enters by dc-gw eth3; partner 1521:1522; dc-fw -s 172.20.0.0/16 1521; dc-core tcp . 1521"),
    Cell(PARTNER, APP, "1522/tcp", "NO", ("dc-gw", "dc-fw", "dc-core"), ("dc-fw", "dc-core"),
         "dc-gw partner 1521:1522; dc-fw 1521 only; dc-core likewise"),
    Cell(PARTNER, APP, "443/tcp", "NO", ("dc-gw", "dc-fw", "dc-core"), ("dc-gw", "dc-fw"),
         "dc-gw partner, last rule: REJECT; dc-fw: not in app-clients; dc-core tcp . 443"),
    Cell(PARTNER, APP, "icmp", "NO", ("dc-gw", "dc-fw", "dc-core"), ("dc-gw", "dc-fw"),
         "dc-gw partner REJECT; dc-fw icmp-in: from 10.0.0.0/8 only"),
    Cell(PARTNER, WEB, "443/tcp", "YES", ("dc-gw", "dc-fw"), (),
         "dc-gw partner: 443 to the dmz; dc-fw to-dmz 443"),
    Cell(PARTNER, APP_IN_DMZ, "443/tcp", "NO", ("dc-gw", "dc-fw", "dc-core"), ("dc-fw",),
         "dc-gw partner: 443 to the dmz; dc-fw DNAT to 10.3.20.8:8443, to-servers: policy DROP; dc-core"
         " tcp . 8443"),
    Cell(APP, PARTNER, "443/tcp", "YES", ("dc-core", "dc-fw", "dc-gw"), (),
         "dc-gw new-conn -i eth2; leaves by 172.16.9.2, which is nobody's"),
    Cell(USER, PARTNER, "443/tcp", "YES", ("hq-core", "hq-gw", "wan-1", "dc-gw"), (),
         "hq-gw 172.16.0.0/12 and wan-1 172.20.0.0/16; dc-gw new-conn -s 10.1.0.0/16"),
)

_WIFI = (
    Cell(GUEST, SITE, "443/tcp", "YES", ("hq-wifi", "hq-gw", "edge"), (),
         "hq-wifi guests returns, MASQUERADE to 10.255.1.3; hq-gw rejects it to 10.0.0.0/8 only; edge out"
         " 443"),
    Cell(GUEST, APP, "443/tcp", "NO", WIFI_DC_2, ("hq-gw", "dc-gw", "dc-fw"),
         "as 10.255.1.3: hq-gw FORWARD REJECT; dc-gw natted returns, policy; dc-fw not in app-clients;"
         " dc-core tcp . 443"),
    Cell(GUEST, APP, "80/tcp", "NO", WIFI_DC_1, ("hq-gw", "dc-gw", "dc-fw"), "as 443, but not marked: wan-1"),
    Cell(GUEST, APP, "25/tcp", "NO", WIFI_DC_1, ("hq-wifi", "dc-fw", "dc-core"),
         "hq-wifi guests 25 DROP, so never masqueraded: 10.1.30.200 passes hq-gw and dc-gw; dc-fw policy;"
         " dc-core reject"),
    Cell(GUEST, WEB, "443/tcp", "NO", WIFI_DC_2[:-1], ("hq-gw",),
         "as 10.255.1.3: hq-gw REJECT; dc-gw natted returns, then -d 10.3.80.0/24 443; dc-fw to-dmz 443"),
    Cell(GUEST, USER, "icmp", "NO", ("hq-wifi", "hq-gw", "hq-core"), ("hq-gw",),
         "as 10.255.1.3: hq-gw REJECT; hq-core icmp"),
    Cell(STAFF, APP, "443/tcp", "NO", WIFI_DC_2, ("dc-fw",),
         "no masquerade; dc-fw: 10.1.30.0/24 not in app-clients"),
    Cell(STAFF, USER, "icmp", "YES", ("hq-wifi", "hq-gw", "hq-core"), (),
         "in and out of hq-gw by eth0: hairpin -s 10.1.30.0/25; hq-core -i eth0 -o eth1 icmp"),
    Cell(STAFF, USER, "22/tcp", "NO", ("hq-wifi", "hq-gw", "hq-core"), ("hq-core",),
         "hq-gw hairpin; hq-core policy"),
    Cell(STAFF, USER, "445/tcp", "NO", ("hq-wifi", "hq-gw", "hq-core"), ("hq-gw", "hq-core"),
         "hq-gw mangle PREROUTING 445; hq-core policy"),
    Cell(USER, "10.1.30.40", "80/tcp", "YES", ("hq-core", "hq-gw", "hq-wifi"), (),
         "hq-core has only a default, so hq-gw sends it back by eth0: hairpin 80,443,9100"),
    Cell(USER, "10.1.30.40", "22/tcp", "NO", ("hq-core", "hq-gw", "hq-wifi"), ("hq-gw",),
         "hq-gw hairpin, last: DROP"),
    Cell(USER, GUEST, "80/tcp", "NO", ("hq-core", "hq-gw", "hq-wifi"), ("hq-wifi",),
         "hq-gw hairpin 80; hq-wifi FORWARD: NEW to 10.1.30.128/25 REJECT"),
    Cell(USER, GUEST, "22/tcp", "NO", ("hq-core", "hq-gw", "hq-wifi"), ("hq-gw", "hq-wifi"),
         "hq-gw hairpin, last: DROP; hq-wifi FORWARD: NEW to 10.1.30.128/25 REJECT"),
)

_ROUTERS_THEMSELVES = (
    Cell(ADMIN, "10.1.99.1", "22/tcp", "YES", ("hq-core",), (), "hq-core INPUT: 22 from 10.1.99.0/24"),
    Cell(USER, "10.1.10.1", "22/tcp", "NO", ("hq-core",), ("hq-core",), "hq-core INPUT policy"),
    Cell(USER, "10.1.10.1", "53/udp", "YES", ("hq-core",), (), "hq-core INPUT: udp 53 from 10.1.0.0/16"),
    Cell(USER, "10.1.20.1", "icmp", "YES", ("hq-core",), (),
         "another address of hq-core: INPUT echo request"),
    Cell(STAFF, "10.255.1.1", "icmp", "YES", ("hq-wifi", "hq-gw"), (), "hq-gw INPUT icmp"),
    Cell(STAFF, "10.255.1.1", "22/tcp", "NO", ("hq-wifi", "hq-gw"), ("hq-gw",),
         "hq-gw INPUT: 22 from 10.1.99.0/24"),
    Cell(GUEST, "10.1.30.1", "53/udp", "YES", ("hq-wifi",), (), "hq-wifi INPUT: wlan0 53,67"),
    Cell(GUEST, "10.1.30.1", "443/tcp", "NO", ("hq-wifi",), ("hq-wifi",), "hq-wifi INPUT policy"),
    Cell(ADMIN, "10.255.15.2", "22/tcp", "YES", HQ_OUT, (), "edge INPUT: 22 by eth0 from 10.1.99.0/24"),
    Cell(USER, "10.255.15.2", "22/tcp", "NO", HQ_OUT, ("edge",), "edge INPUT policy"),
    Cell(ADMIN, "203.0.113.2", "22/tcp", "YES", HQ_OUT, (),
         "its outer address, reached by eth0: edge INPUT 22"),
    Cell(ADMIN, "10.255.31.2", "22/tcp", "YES", HQ_DC_1[:4], (),
         "hq-gw 10.255.0.0/16: wan-1; dc-gw INPUT 22"),
    Cell(USER, "10.255.31.2", "179/tcp", "NO", HQ_DC_1[:4], ("dc-gw",),
         "dc-gw INPUT: 179 from 10.255.31.1 only"),
    Cell(USER, "10.255.31.1", "icmp", "YES", HQ_DC_1[:3], (), "wan-1 INPUT icmp, on its far side"),
    Cell(USER, "10.255.31.1", "179/tcp", "NO", HQ_DC_1[:3], ("wan-1",),
         "wan-1 INPUT: 179 from 10.255.0.0/16"),
    Cell(USER, "10.255.12.2", "22/tcp", "YES", HQ_DC_2[:3], (), "wan-2 has no rules at all"),
    Cell(ADMIN, "10.255.3.2", "22/tcp", "YES", HQ_DMZ_1, (),
         "dc-gw new-conn -s 10.1.0.0/16; dc-fw INPUT: 22, admins"),
    Cell(TRAINEE, "10.255.3.2", "22/tcp", "NO", HQ_DMZ_1, ("dc-fw",),
         "dc-fw INPUT: 10.1.99.12 not in admins"),
    Cell(ADMIN, "10.3.20.1", "22/tcp", "YES", HQ_DC_1, (), "dc-fw admin-any 22; dc-core input: ssh_from"),
    Cell(USER, "10.3.20.1", "443/tcp", "NO", HQ_DC_2, ("dc-core",),
         "dc-fw to-servers accepts 443; dc-core input: policy drop"),
    Cell(USER, "10.3.20.1", "22/tcp", "NO", HQ_DC_1, ("dc-fw", "dc-core"),
         "dc-fw policy; dc-core input: policy drop"),
    Cell(USER, "10.255.100.2", "51820/udp", "NO", ("hq-core", "hq-gw", "br-gw"), ("hq-gw",),
         "hq-gw FORWARD: ! -d 10.2.0.0/16 -o wg0 DROP; br-gw INPUT 51820"),
    Cell(ADMIN, "10.255.21.2", "22/tcp", "YES", HQ_BR[:4], (), "br-gw INPUT: 22 from 10.1.99.0/24"),
    Cell(USER, "10.255.21.2", "icmp", "YES", HQ_BR[:4], (),
         "br-gw INPUT: icmp within its limit", caveat_has="br-gw"),
    Cell(ADMIN, "10.2.10.1", "22/tcp", "YES", HQ_BR, (), "br-gw from-corp 10.1.99.0/24; br-lan INPUT policy"),
    Cell(USER, "10.2.10.1", "22/tcp", "NO", HQ_BR, ("br-gw", "br-lan"),
         "br-gw from-corp DROP; br-lan INPUT: 22 not from 10.1.99.0/24 DROP"),
    Cell(TILL, "10.2.20.1", "53/udp", "NO", ("br-lan",), ("br-lan",), "br-lan INPUT: eth1.20 DROP"),
    Cell(CLERK, "10.2.10.1", "443/tcp", "YES", ("br-lan",), (), "br-lan INPUT policy"),
)

_NOWHERE = (
    Cell(USER, "10.77.1.1", "443/tcp", "NO", ("hq-core", "hq-gw"), ("hq-gw",),
         "hq-gw: unreachable 10.0.0.0/8", reason_has="unreachable"),
    Cell(USER, "10.1.77.5", "80/tcp", "NO", ("hq-core", "hq-gw"), ("hq-gw",),
         "an hq address without a network: hq-gw unreachable 10.0.0.0/8", reason_has="unreachable"),
    Cell(USER, "172.21.0.5", "80/tcp", "NO", ("hq-core", "hq-gw", "wan-1"), (),
         "hq-gw 172.16.0.0/12 to wan-1; wan-1 has 172.20.0.0/16 only, its default is hq-gw",
         reason_has="loop"),
    Cell(USER, "10.2.77.7", "80/tcp", "NO", HQ_BR, (),
         "br-gw 10.2.0.0/16 to br-lan, whose default is br-gw; both accept 80 on the way in",
         reason_has="loop"),
    Cell(USER, "10.3.50.5", "80/tcp", "NO", HQ_DMZ_1, ("dc-fw",),
         "dc-gw 10.3.0.0/16 to dc-fw, whose default is dc-gw; dc-fw eth0 to eth0: no rule, policy DROP",
         reason_has="loop"),
    Cell(USER, "10.2.250.9", "80/tcp", "NO", HQ_BR, ("br-lan",),
         "br-lan: 10.2.250.0/24 straight out of eth1, a segment of 10.2.10.0/24: nobody there can have it"),
)

_NEIGHBOURS = (
    Cell(USER, "10.1.10.30", "3389/tcp", "YES", (), (), "both in 10.1.10.0/24: no router is asked"),
    Cell(GUEST, STAFF, "80/tcp", "YES", (), (), "both in 10.1.30.0/24"),
    Cell(WEB, APP_IN_DMZ, "443/tcp", "YES", (), (), "both in 10.3.80.0/24, so dc-fw's DNAT is not passed"),
    Cell(APP, "10.3.20.9", "icmp", "YES", (), (), "both in 10.3.20.0/24"),
)

CELLS: tuple[Cell, ...] = (
    *_TO_SERVERS, *_DNS, *_VOICE, *_DMZ, *_DATA_CENTRE, *_BRANCH, *_INTERNET, *_PARTNER, *_WIFI,
    *_ROUTERS_THEMSELVES, *_NOWHERE, *_NEIGHBOURS,
)
# fmt: on
