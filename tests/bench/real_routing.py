"""Topologies: mwan3, WireGuard, VRRP, two subnets on one interface, a /32 with an on-link gateway, port forwarding."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.real_lab import FAR, ISP, ISP_ADDRESS, Lab, Node, Router


def two_subnets(lab: Lab, router: Router) -> None:
    """A second subnet on the LAN's interface, with hosts on the same wire; sometimes a rule between them."""
    number = router.net.rpartition(".")[2]
    net = f"10.50.{number}"
    router.ip.append(f"addr add {net}.1/24 dev {router.lan}")
    host = Node(forward=False)
    host.attach("eth0", f"lan{number}", f"{net}.10/24", f"{net}.20/24")
    host.ip.append(f"route add default via {net}.1")
    lab.hosts[f"s{number}"] = host
    lab.sources.append((f"s{number}", f"{net}.10"))
    lab.destinations += [f"{net}.10", f"{net}.1"]
    lab.announce(router, f"{net}.0/24")
    if lab.random.random() < 0.6:
        router.iptables(
            f"*filter\n-A FORWARD -s {router.net}.0/24 -d {net}.0/24 -p tcp -m tcp --dport 22 -j DROP\nCOMMIT"
        )
    lab.ask(f"{net}.20", "22/tcp", "80/tcp", "icmp", source=(f"h{number}", f"{router.net}.10"))
    lab.ask(f"{router.net}.20", "22/tcp", "53/udp", source=(f"s{number}", f"{net}.10"))


def port_forward(lab: Lab, router: Router) -> None:
    """Port forwarding with and without hairpin SNAT, to one host or, from inside, to the client itself."""
    hairpin, everywhere = lab.random.random() < 0.5, lab.random.random() < 0.5
    inner = f"{router.net}.20"
    where = f"-d {router.address}/32" if everywhere else f"-i {router.wan}"
    router.iptables(f"""*nat
    -A PREROUTING {where} -p tcp -m tcp --dport 2222 -j DNAT --to-destination {inner}:22
    -A PREROUTING {where} -p udp -m udp --dport 53 -j DNAT --to-destination {inner}
    {f"-A POSTROUTING -s {router.net}.0/24 -d {inner}/32 -j SNAT --to-source {router.net}.1" * hairpin}
    COMMIT""")
    number = router.net.rpartition(".")[2]
    for source in ((f"h{number}", f"{router.net}.10"), (ISP, FAR[0])):
        lab.ask(router.address, "2222/tcp", "53/udp", "80/tcp", source=source)


def keepalived(lab: Lab, router: Router) -> None:
    """The hosts' gateway is a VRRP address on one of two routers. The backup has other rules."""
    gw = lab.routers["gw"]
    backup = Router(name="gw-b", net=gw.net, wan="eth0", lan="eth1", address="192.0.2.3")
    backup.attach("eth1", "lan0", "10.0.0.3/24")
    backup.attach("eth0", "internet", "192.0.2.3/24")
    backup.ip.append(f"route add default via {ISP_ADDRESS} dev eth0")
    backup.ip.append("route add 10.0.0.0/8 via 10.0.0.1 dev eth1")
    lab.routers["gw-b"] = backup
    master = lab.random.choice([gw, backup])
    master.ip.append(f"addr add 10.0.0.254/{lab.random.choice([24, 32])} dev {master.lan}")
    lab.hosts[ISP].ip[-1] = f"route add default via {master.address}"
    lab.hosts[ISP].ip += ["route add 10.0.0.3/32 via 192.0.2.3", "route add 10.0.0.1/32 via 192.0.2.2"]
    lines = lab.hosts["h0"].ip
    lines[lines.index("route add default via 10.0.0.1")] = "route add default via 10.0.0.254"
    for one in (gw, backup):
        port = lab.random.choice([80, 443])
        one.iptables(f"*filter\n-A FORWARD -i {one.lan} -o {one.wan} -p tcp -m tcp --dport {port} -j DROP\nCOMMIT")
        one.iptables(f"*nat\n-A POSTROUTING -o {one.wan} -s 10.0.0.0/8 -j MASQUERADE\nCOMMIT")
    lab.destinations += ["10.0.0.254", "10.0.0.3"]
    lab.ask(FAR[0], "80/tcp", "443/tcp", "53/udp", "icmp", source=("h0", "10.0.0.10"))
    lab.ask("10.0.0.254", "22/tcp", "icmp", source=("h0", "10.0.0.20"))


def onlink(lab: Lab, router: Router) -> None:
    """A cloud server: a /32 on the interface to the provider, the gateway outside any subnet."""
    gw = lab.routers["gw"]
    lines = gw.ip
    lines[lines.index(f"addr add 192.0.2.2/24 dev {gw.wan}")] = f"addr add 192.0.2.2/32 dev {gw.wan}"
    at = lines.index(f"route add default via {ISP_ADDRESS} dev {gw.wan}")
    if lab.random.random() < 0.5:
        lines[at] = f"route add default via {ISP_ADDRESS} dev {gw.wan} onlink"
    else:
        lines[at : at + 1] = [
            f"route add {ISP_ADDRESS} dev {gw.wan} scope link",
            f"route add default via {ISP_ADDRESS} dev {gw.wan}",
        ]
    lab.ask(FAR[0], "443/tcp", "53/udp", "icmp", source=("h0", "10.0.0.10"))
    lab.ask("192.0.2.2", "22/tcp", "icmp", source=(ISP, FAR[0]))


def multi_wan(lab: Lab, router: Router) -> None:
    """mwan3: two providers, marks by source and port in mangle, rules by mark and by the interface it came in on."""
    gw, random = lab.routers["gw"], lab.random
    gw.attach("wan2", lab.segment("internet2"), "203.0.113.2/24")
    lab.hosts[ISP].attach("eth1", "internet2", "203.0.113.1/24")
    far = "203.0.113.1"
    if random.random() < 0.3:
        gw.iptables("*filter\n-A FORWARD -o wan2 -p tcp -m tcp --dport 443 -j DROP\nCOMMIT")
    gw.ip += [
        f"route add default via {far} dev wan2 metric 20",
        f"route add default via {ISP_ADDRESS} dev {gw.wan} table 1",
        f"route add 192.0.2.0/24 dev {gw.wan} scope link table 1",
        f"route add default via {far} dev wan2 table 2",
        "route add 203.0.113.0/24 dev wan2 scope link table 2",
        f"rule add iif {gw.wan} lookup main priority 1001",
        "rule add iif wan2 lookup main priority 1002",
        "rule add fwmark 0x100/0x3f00 lookup 1 priority 2001",
        "rule add fwmark 0x200/0x3f00 lookup 2 priority 2002",
        "rule add fwmark 0x3d00/0x3f00 blackhole priority 2061",
        "rule add fwmark 0x3e00/0x3f00 unreachable priority 2062",
    ]
    picks = random.sample(
        ["-p tcp -m tcp --dport 443", "-s 10.0.0.20/32", "-p udp", "-p icmp", "-p tcp -m multiport --dports 80,8080"], 3
    )
    marks = [random.choice(["0x100", "0x200"]) for _ in picks]
    if random.random() < 0.3:
        marks[0] = random.choice(["0x3d00", "0x3e00"])
    rules = "\n".join(
        f"-A mwan3_rules {pick} -m mark --mark 0x0/0x3f00 -j MARK --set-xmark {mark}/0x3f00"
        for pick, mark in zip(picks, marks, strict=True)
    )
    gw.ipset("create mwan3_connected hash:net family inet hashsize 1024 maxelem 65536\nadd mwan3_connected 10.0.0.0/8")
    gw.iptables(f"""*mangle
    :mwan3_connected - [0:0]
    :mwan3_hook - [0:0]
    :mwan3_ifaces_in - [0:0]
    :mwan3_rules - [0:0]
    -A PREROUTING -j mwan3_hook
    -A OUTPUT -j mwan3_hook
    -A mwan3_connected -m set --match-set mwan3_connected dst -j MARK --set-xmark 0x3f00/0x3f00
    -A mwan3_hook -j CONNMARK --restore-mark --nfmask 0x3f00 --ctmask 0x3f00
    -A mwan3_hook -m mark --mark 0x0/0x3f00 -j mwan3_ifaces_in
    -A mwan3_hook -m mark --mark 0x0/0x3f00 -j mwan3_connected
    -A mwan3_hook -m mark --mark 0x0/0x3f00 -j mwan3_rules
    -A mwan3_hook -j CONNMARK --save-mark --nfmask 0x3f00 --ctmask 0x3f00
    -A mwan3_hook -m mark ! --mark 0x3f00/0x3f00 -j mwan3_connected
    -A mwan3_ifaces_in -i {gw.wan} -m mark --mark 0x0/0x3f00 -j MARK --set-xmark 0x100/0x3f00
    -A mwan3_ifaces_in -i wan2 -m mark --mark 0x0/0x3f00 -j MARK --set-xmark 0x200/0x3f00
    {rules}
    COMMIT
    *nat
    -A POSTROUTING -o wan2 -s 10.0.0.0/8 -j MASQUERADE
    -A POSTROUTING -o {gw.wan} -s 10.0.0.0/8 -j MASQUERADE
    COMMIT""")
    for last in (10, 20):
        lab.ask(FAR[0], "443/tcp", "80/tcp", "53/udp", "icmp", "22/tcp", source=("h0", f"10.0.0.{last}"))
    lab.ask("203.0.113.2", "22/tcp", "icmp", source=(ISP, FAR[0]))


def wireguard(lab: Lab, router: Router) -> None:
    """wg-quick: a hub on the first router, a site with a LAN, and a road warrior."""
    gw = lab.routers["gw"]
    site = Router(name="site", net="10.60.0", wan="eth0", lan="eth1", address="192.0.2.60")
    site.attach("eth1", lab.segment("lan-site"), "10.60.0.1/24")
    site.attach("eth0", "internet", "192.0.2.60/24")
    site.ip.append(f"route add default via {ISP_ADDRESS} dev eth0")
    lab.routers["site"] = site
    lab.hosts[ISP].ip += [f"route add {net} via 192.0.2.60" for net in ("10.60.0.0/24", "10.200.0.2/32")]
    host = Node(forward=False)
    host.attach("eth0", "lan-site", "10.60.0.10/24", "10.60.0.20/24")
    host.ip.append("route add default via 10.60.0.1")
    rover = Node(forward=False)
    lab.hosts |= {"h-site": host, "rover": rover}
    forgotten = lab.random.random() < 0.25
    wide = ["10.200.0.0/24", "10.0.0.0/16", "10.60.0.0/24"]
    peers = {
        "gw": (gw, {"site": ["10.200.0.2/32"] if forgotten else ["10.200.0.2/32", "10.60.0.0/24"]}),
        "site": (site, {"gw": wide[:2]}),
        "rover": (rover, {"gw": ["0.0.0.0/0"]}),
    }
    peers["gw"][1]["rover"] = ["10.200.0.50/32"]
    addresses = {"gw": "10.200.0.1/24", "site": "10.200.0.2/32", "rover": "10.200.0.50/32"}
    for name, (node, allowed) in peers.items():
        node.tunnels["wg0"] = [{"to": [to, "wg0"], "allowed": nets} for to, nets in allowed.items()]
        node.ip += ["link set dev wg0 up mtu 1420", f"addr add {addresses[name]} dev wg0"]
        for net in {net for nets in allowed.values() for net in nets} - {"10.200.0.50/32", "10.200.0.2/32"}:
            if not (name == "gw" and net == "10.200.0.0/24"):
                node.ip.append(f"route add {net} dev wg0 scope link")
        keys = {"gw": "h" * 43 + "=", "site": "s" * 43 + "=", "rover": "r" * 43 + "="}
        node.files["wireguard.txt"] = "".join(f"wg0\t{keys[to]}\t{' '.join(nets)}\n" for to, nets in allowed.items())
    if forgotten:
        gw.ip.append("route add 10.60.0.0/24 dev wg0 scope link")
    if lab.random.random() < 0.5:
        gw.iptables("*filter\n-A FORWARD -i wg0 -p tcp -m tcp --dport 22 -j REJECT --reject-with tcp-reset\nCOMMIT")
    lab.sources += [("h-site", "10.60.0.10"), ("rover", "10.200.0.50")]
    lab.destinations += ["10.60.0.20", "10.200.0.1", "10.200.0.2"]
    lab.ask("10.60.0.10", "80/tcp", "22/tcp", "icmp", source=("h0", "10.0.0.10"))
    lab.ask("10.0.0.20", "80/tcp", "22/tcp", "53/udp", source=("h-site", "10.60.0.10"))
    lab.ask("10.0.0.20", "80/tcp", "22/tcp", source=("rover", "10.200.0.50"))
    lab.ask("10.60.0.20", "80/tcp", source=("rover", "10.200.0.50"))


ROUTING: dict[str, Callable[[Lab, Router], None]] = {
    "two-subnets": two_subnets,
    "port-forward": port_forward,
    "keepalived": keepalived,
    "onlink": onlink,
    "multi-wan": multi_wan,
    "wireguard": wireguard,
}
