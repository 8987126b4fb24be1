"""Docker (iptables and nftables), kube-proxy, libvirt and LXD, as these programs set up a machine."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.bench.real_lab import Lab, Router

Published = list[tuple[int, str, int]]
"""(port of the machine, container, port of the container)."""


def _containers(lab: Lab, router: Router) -> tuple[dict[str, str], Published]:
    """docker0 and sometimes a second network: bridge -> subnet, with two containers each."""
    random = lab.random
    bridges = {"docker0": "172.17.0"}
    if random.random() < 0.5:
        bridges[f"br-{random.randrange(16**12):012x}"] = "172.18.0"
    published: Published = []
    for bridge, net in bridges.items():
        names = {f"{router.name}-{net.split('.')[1]}-{last}": f"{net}.{last}" for last in (2, 3)}
        lab.inner(router, bridge, f"{net}.1/16", names)
        port = 8080 if bridge == "docker0" else 8443
        published.append((port, f"{net}.2", random.choice([80, 443, port])))
        for address in names.values():
            lab.ask(address, "80/tcp", "icmp")
    for port, _, _ in published:
        lab.ask(router.address, f"{port}/tcp")
        lab.ask(f"{router.net}.1", f"{port}/tcp")
    return bridges, published


def docker(lab: Lab, router: Router) -> None:
    """Docker with iptables, before version 28 and since."""
    bridges, published = _containers(lab, router)
    (_docker_27 if lab.random.random() < 0.5 else _docker_28)(lab.random, router, bridges, published)


def _docker_nat(bridges: dict[str, str], published: Published) -> list[str]:
    of = {net: bridge for bridge, net in bridges.items()}
    lines = [
        "*nat",
        ":DOCKER - [0:0]",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
    ]
    lines += [f"-A POSTROUTING -s {net}.0/16 ! -o {bridge} -j MASQUERADE" for bridge, net in bridges.items()]
    for port, address, inner in published:
        lines.append(f"-A POSTROUTING -s {address}/32 -d {address}/32 -p tcp -m tcp --dport {inner} -j MASQUERADE")
        bridge = of[address.rpartition(".")[0]]
        lines.append(f"-A DOCKER ! -i {bridge} -p tcp -m tcp --dport {port} -j DNAT --to-destination {address}:{inner}")
    lines.append("COMMIT")
    return lines


def _accepted(bridges: dict[str, str], published: Published) -> list[str]:
    of = {net: bridge for bridge, net in bridges.items()}
    lines = []
    for _, address, inner in published:
        bridge = of[address.rpartition(".")[0]]
        lines.append(f"-A DOCKER -d {address}/32 ! -i {bridge} -o {bridge} -p tcp -m tcp --dport {inner} -j ACCEPT")
    return lines


def _user(random: Random, router: Router) -> list[str]:
    """What administrators write into DOCKER-USER."""
    return random.choice(
        [
            [],
            ["-A DOCKER-USER -j RETURN"],
            [f"-A DOCKER-USER -i {router.lan} -j ACCEPT", "-A DOCKER-USER -j RETURN"],
            [
                "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                f"-A DOCKER-USER -i {router.wan} -p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j DROP",
                f"-A DOCKER-USER -i {router.lan} -o {router.wan} -j ACCEPT",
            ],
        ]
    )


def _docker_27(random: Random, router: Router, bridges: dict[str, str], published: Published) -> None:
    lines = [
        *_docker_nat(bridges, published),
        "*filter",
        f":FORWARD {random.choice(['DROP', 'ACCEPT'])} [0:0]",
        ":DOCKER - [0:0]",
        ":DOCKER-ISOLATION-STAGE-1 - [0:0]",
        ":DOCKER-ISOLATION-STAGE-2 - [0:0]",
        ":DOCKER-USER - [0:0]",
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
    ]
    for bridge in bridges:
        lines += [
            f"-A FORWARD -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            f"-A FORWARD -o {bridge} -j DOCKER",
            f"-A FORWARD -i {bridge} ! -o {bridge} -j ACCEPT",
            f"-A FORWARD -i {bridge} -o {bridge} -j ACCEPT",
            f"-A DOCKER-ISOLATION-STAGE-1 -i {bridge} ! -o {bridge} -j DOCKER-ISOLATION-STAGE-2",
            f"-A DOCKER-ISOLATION-STAGE-2 -o {bridge} -j DROP",
        ]
    lines += [
        *_accepted(bridges, published),
        "-A DOCKER-ISOLATION-STAGE-1 -j RETURN",
        "-A DOCKER-ISOLATION-STAGE-2 -j RETURN",
        *_user(random, router),
        "COMMIT",
    ]
    router.iptables("\n".join(lines))


def _docker_28(random: Random, router: Router, bridges: dict[str, str], published: Published) -> None:
    of = {net: bridge for bridge, net in bridges.items()}
    lines = ["*raw"]
    for _, address, _ in published:
        lines.append(f"-A PREROUTING -d {address}/32 ! -i {of[address.rpartition('.')[0]]} -j DROP")
    chains = ("DOCKER", "DOCKER-BRIDGE", "DOCKER-CT", "DOCKER-FORWARD", "DOCKER-INTERNAL", "DOCKER-USER")
    lines += [
        "COMMIT",
        *_docker_nat(bridges, published),
        "*filter",
        f":FORWARD {random.choice(['DROP', 'ACCEPT'])} [0:0]",
        *(f":{chain} - [0:0]" for chain in chains),
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j DOCKER-FORWARD",
        *_accepted(bridges, published),
        *(f"-A DOCKER ! -i {bridge} -o {bridge} -j DROP" for bridge in bridges),
        *(f"-A DOCKER-BRIDGE -o {bridge} -j DOCKER" for bridge in bridges),
        *(f"-A DOCKER-CT -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT" for bridge in bridges),
        "-A DOCKER-FORWARD -j DOCKER-CT",
        "-A DOCKER-FORWARD -j DOCKER-INTERNAL",
        "-A DOCKER-FORWARD -j DOCKER-BRIDGE",
        *(f"-A DOCKER-FORWARD -i {bridge} -j ACCEPT" for bridge in bridges),
        *_user(random, router),
        "COMMIT",
    ]
    router.iptables("\n".join(lines))


def docker_nft(lab: Lab, router: Router) -> None:
    """Docker 29 with its nftables backend."""
    bridges, published = _containers(lab, router)
    of = {net: bridge for bridge, net in bridges.items()}
    maps = {
        "filter-forward-in-jumps": "filter-forward-in__",
        "filter-forward-out-jumps": "filter-forward-out__",
        "nat-postrouting-in-jumps": "nat-postrouting-in__",
        "nat-postrouting-out-jumps": "nat-postrouting-out__",
    }
    chains, dnat, raw = [], [], []
    for bridge, net in bridges.items():
        mine = [(address, inner) for _, address, inner in published if address.startswith(f"{net}.")]
        chains.append(f"""
        chain filter-forward-in__{bridge} {{
            ct state established,related counter accept
            iifname "{bridge}" counter accept comment "ICC"
            {chr(10).join(f"ip daddr {address} tcp dport {inner} counter accept" for address, inner in mine)}
            counter drop comment "UNPUBLISHED PORT DROP"
        }}
        chain filter-forward-out__{bridge} {{
            ct state established,related counter accept
            counter accept comment "OUTGOING"
        }}
        chain nat-postrouting-in__{bridge} {{
            {chr(10).join(f"ip saddr {a} ip daddr {a} tcp dport {inner} counter masquerade" for a, inner in mine)}
        }}
        chain nat-postrouting-out__{bridge} {{
            oifname != "{bridge}" ip saddr {net}.0/16 counter masquerade comment "MASQUERADE"
        }}""")
    for port, address, inner in published:
        bridge = of[address.rpartition(".")[0]]
        dnat.append(f'iifname != "{bridge}" tcp dport {port} counter dnat to {address}:{inner} comment "DNAT"')
        raw.append(f'ip daddr {address} iifname != "{bridge}" counter drop comment "DROP DIRECT ACCESS"')
    elements = {
        name: ", ".join(f'"{bridge}" : jump {prefix}{bridge}' for bridge in bridges) for name, prefix in maps.items()
    }
    router.nft(f"""table ip docker-bridges {{
        {chr(10).join(chains)}
        {chr(10).join(f"map {n} {{ type ifname : verdict; elements = {{ {e} }}; }}" for n, e in elements.items())}
        chain nat-prerouting-and-output {{
            {chr(10).join(dnat)}
        }}
        chain filter-FORWARD {{
            type filter hook forward priority filter; policy accept;
            oifname vmap @filter-forward-in-jumps
            iifname vmap @filter-forward-out-jumps
        }}
        chain nat-OUTPUT {{
            type nat hook output priority -100; policy accept;
            ip daddr != 127.0.0.0/8 fib daddr type local counter jump nat-prerouting-and-output
        }}
        chain nat-POSTROUTING {{
            type nat hook postrouting priority srcnat; policy accept;
            iifname vmap @nat-postrouting-out-jumps
            oifname vmap @nat-postrouting-in-jumps
        }}
        chain nat-PREROUTING {{
            type nat hook prerouting priority dstnat; policy accept;
            fib daddr type local counter jump nat-prerouting-and-output
        }}
        chain raw-PREROUTING {{
            type filter hook prerouting priority raw; policy accept;
            {chr(10).join(raw)}
        }}
    }}""")


def kube_proxy(lab: Lab, router: Router) -> None:
    """A Kubernetes node: pods on cni0, services with no, one or several endpoints, a node port."""
    random = lab.random
    number = router.net.rpartition(".")[2]
    pods = f"10.244.{number}"
    lab.inner(router, "cni0", f"{pods}.1/24", {f"{router.name}-pod-{n}": f"{pods}.{n}" for n in (5, 6)}, known=True)
    services = [
        ("KUBE-SVC-WEB7EXAMPLE", "10.96.0.10", 80, "default/web", random.choice([[5], [5, 6]])),
        ("KUBE-SVC-DNS7EXAMPLE", "10.96.0.53", 53, "kube-system/dns", [6]),
        ("KUBE-SVC-NONE7EXAMPL", "10.96.0.99", 443, "default/none", []),
    ]
    nat = ["-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000"]
    chains, reject = [], []
    for chain, address, port, name, endpoints in services:
        note = f'-m comment --comment "{name} cluster IP"'
        if not endpoints:
            reject.append(
                f'-A KUBE-SERVICES -d {address}/32 -p tcp -m comment --comment "{name} has no endpoints" -m tcp '
                f"--dport {port} -j REJECT --reject-with icmp-port-unreachable"
            )
            continue
        chains.append(chain)
        nat.append(f"-A KUBE-SERVICES -d {address}/32 -p tcp {note} -m tcp --dport {port} -j {chain}")
        nat.append(f"-A {chain} ! -s {pods}.0/24 -d {address}/32 -p tcp {note} -m tcp --dport {port} -j KUBE-MARK-MASQ")
        for index, last in enumerate(endpoints):
            end = f"KUBE-SEP-{name[-3:].upper()}{last}EXAMPLE"
            chains.append(end)
            left = len(endpoints) - index
            chance = f" -m statistic --mode random --probability {1 / left:.11f}" if left > 1 else ""
            to = f'-m comment --comment "{name} -> {pods}.{last}:{port}"'
            nat += [
                f"-A {chain} {to}{chance} -j {end}",
                f"-A {end} -s {pods}.{last}/32 {to} -j KUBE-MARK-MASQ",
                f"-A {end} -p tcp -m comment --comment {name} -m tcp -j DNAT --to-destination {pods}.{last}:{port}",
            ]
    local = random.random() < 0.5
    masq = "KUBE-MARK-MASQ"
    nat += [
        "-A KUBE-NODEPORTS -p tcp -m comment --comment default/web -m tcp --dport 30080 -j KUBE-EXT-WEB7EXAMPLE",
        f"-A KUBE-EXT-WEB7EXAMPLE -s {pods}.0/24 -j KUBE-SVC-WEB7EXAMPLE"
        if local
        else f"-A KUBE-EXT-WEB7EXAMPLE -j {masq}",
        "-A KUBE-EXT-WEB7EXAMPLE -j KUBE-SVC-WEB7EXAMPLE",
        '-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this '
        'chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
        "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
        "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
        "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
        f"-A POSTROUTING -s {pods}.0/24 ! -d 10.244.0.0/16 -m addrtype ! --dst-type LOCAL -j MASQUERADE",
    ]
    chains += ["KUBE-EXT-WEB7EXAMPLE", "KUBE-NODEPORTS", "KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"]
    forward = ["KUBE-FORWARD", "KUBE-SERVICES", "KUBE-FIREWALL", "KUBE-PROXY-FIREWALL", "KUBE-EXTERNAL-SERVICES"]
    router.iptables(
        "\n".join(
            [
                "*nat",
                *(f":{chain} - [0:0]" for chain in chains),
                '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
                '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
                '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
                *nat,
                "COMMIT",
                "*filter",
                *(f":{chain} - [0:0]" for chain in forward),
                "-A INPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
                "-A INPUT -j KUBE-FIREWALL",
                "-A INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES",
                "-A FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
                "-A FORWARD -j KUBE-FORWARD",
                "-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES",
                "-A OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES",
                "-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT "
                "-j DROP",
                "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
                "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
                "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                *reject,
                "COMMIT",
            ]
        )
    )
    pod = (f"{router.name}-pod-5", f"{pods}.5")
    host = (f"h{number}", f"{router.net}.10")
    for source in (pod, host):
        lab.ask("10.96.0.10", "80/tcp", "443/tcp", source=source)
        lab.ask("10.96.0.53", "53/tcp", source=source)
        lab.ask("10.96.0.99", "443/tcp", source=source)
    lab.ask(f"{router.net}.1", "30080/tcp")
    lab.ask(router.address, "30080/tcp", "22/tcp")
    lab.ask(f"{pods}.6", "80/tcp", "icmp")


def libvirt(lab: Lab, router: Router) -> None:
    """virbr0 with NAT."""
    lab.inner(router, "virbr0", "192.168.122.1/24", {f"{router.name}-vm": "192.168.122.50"})
    own = "192.168.122.0/24"
    masquerade = f"-A LIBVIRT_PRT -s {own} ! -d {own}"
    router.iptables(f"""*mangle
    :LIBVIRT_PRT - [0:0]
    -A POSTROUTING -j LIBVIRT_PRT
    -A LIBVIRT_PRT -o virbr0 -p udp -m udp --dport 68 -j CHECKSUM --checksum-fill
    COMMIT
    *nat
    :LIBVIRT_PRT - [0:0]
    -A POSTROUTING -j LIBVIRT_PRT
    -A LIBVIRT_PRT -s {own} -d 224.0.0.0/24 -j RETURN
    -A LIBVIRT_PRT -s {own} -d 255.255.255.255/32 -j RETURN
    {masquerade} -p tcp -j MASQUERADE --to-ports 1024-65535
    {masquerade} -p udp -j MASQUERADE --to-ports 1024-65535
    {masquerade} -j MASQUERADE
    COMMIT
    *filter
    :LIBVIRT_FWI - [0:0]
    :LIBVIRT_FWO - [0:0]
    :LIBVIRT_FWX - [0:0]
    :LIBVIRT_INP - [0:0]
    :LIBVIRT_OUT - [0:0]
    -A INPUT -j LIBVIRT_INP
    -A FORWARD -j LIBVIRT_FWX
    -A FORWARD -j LIBVIRT_FWI
    -A FORWARD -j LIBVIRT_FWO
    -A OUTPUT -j LIBVIRT_OUT
    -A LIBVIRT_FWI -d {own} -o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    -A LIBVIRT_FWI -o virbr0 -j REJECT --reject-with icmp-port-unreachable
    -A LIBVIRT_FWO -s {own} -i virbr0 -j ACCEPT
    -A LIBVIRT_FWO -i virbr0 -j REJECT --reject-with icmp-port-unreachable
    -A LIBVIRT_FWX -i virbr0 -o virbr0 -j ACCEPT
    -A LIBVIRT_INP -i virbr0 -p udp -m udp --dport 53 -j ACCEPT
    -A LIBVIRT_INP -i virbr0 -p tcp -m tcp --dport 53 -j ACCEPT
    -A LIBVIRT_OUT -o virbr0 -p udp -m udp --dport 53 -j ACCEPT
    COMMIT""")
    vm = (f"{router.name}-vm", "192.168.122.50")
    lab.ask(lab.random.choice(lab.destinations), "80/tcp", "53/udp", "icmp", source=vm)
    lab.ask("192.168.122.50", "22/tcp", "icmp")


def lxd(lab: Lab, router: Router) -> None:
    """lxdbr0 with NAT, and a proxy device in NAT mode."""
    lab.inner(router, "lxdbr0", "10.188.5.1/24", {f"{router.name}-ct": "10.188.5.20"})
    at = "type filter hook forward priority filter; policy accept;"
    router.nft(
        f"""table inet lxd {{
        chain fwd.lxdbr0 {{
            {at}
            ip version 4 oifname "lxdbr0" accept
            ip version 4 iifname "lxdbr0" accept
        }}
        chain pstrt.lxdbr0 {{
            type nat hook postrouting priority srcnat; policy accept;
            ip saddr 10.188.5.0/24 ip daddr != 10.188.5.0/24 masquerade
        }}
        chain in.lxdbr0 {{
            type filter hook input priority filter; policy accept;
            iifname "lxdbr0" tcp dport 53 accept
            iifname "lxdbr0" udp dport 53 accept
        }}
        chain prert.ct.web {{
            type nat hook prerouting priority dstnat; policy accept;
            ip daddr {router.address} tcp dport 8443 dnat ip to 10.188.5.20:443
        }}
        chain out.ct.web {{
            type nat hook output priority -100; policy accept;
            ip daddr {router.address} tcp dport 8443 dnat ip to 10.188.5.20:443
        }}
        chain pstrt.ct.web {{
            type nat hook postrouting priority srcnat; policy accept;
            ip saddr 10.188.5.20 ip daddr 10.188.5.20 tcp dport 443 masquerade
        }}
    }}""".replace("ip version 4", "meta nfproto ipv4")
    )
    lab.ask(router.address, "8443/tcp")
    lab.ask(FAR_TARGET, "443/tcp", "icmp", source=(f"{router.name}-ct", "10.188.5.20"))
    lab.ask("10.188.5.20", "22/tcp", "icmp")


FAR_TARGET = "198.51.100.7"
CONTAINERS: dict[str, Callable[[Lab, Router], None]] = {
    "docker": docker,
    "docker-nft": docker_nft,
    "kube-proxy": kube_proxy,
    "libvirt": libvirt,
    "lxd": lxd,
}
