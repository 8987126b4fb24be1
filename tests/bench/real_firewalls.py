"""ufw, firewalld, fw4, shorewall, fail2ban, and rules by hand that count: what these programs write."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.real_lab import FAR, Lab, Router


def ufw(lab: Lab, router: Router) -> None:
    """Defaults, allowed ports, a limit, routes, the usual before rules."""
    random = lab.random
    incoming, routed = random.choice(["DROP", "DROP", "ACCEPT"]), random.choice(["DROP", "DROP", "ACCEPT"])
    prefixes = ("before-logging", "before", "after", "after-logging", "reject", "track")
    chains = [f"ufw-{part}-{hook}" for hook in ("input", "output", "forward") for part in prefixes]
    chains += ["ufw-user-input", "ufw-user-forward", "ufw-user-output", "ufw-user-limit", "ufw-user-limit-accept"]
    chains += ["ufw-not-local", "ufw-skip-to-policy-input", "ufw-skip-to-policy-forward", "ufw-skip-to-policy-output"]
    chains += ["ufw-logging-deny", "ufw-logging-allow", "ufw-user-logging-input"]
    lines = ["*filter", f":INPUT {incoming} [0:0]", f":FORWARD {routed} [0:0]", ":OUTPUT ACCEPT [0:0]"]
    lines += [f":{chain} - [0:0]" for chain in chains]
    for hook in ("input", "output", "forward"):
        lines += [f"-A {hook.upper()} -j ufw-{part}-{hook}" for part in prefixes]
    for port in random.sample([53, 5353], 1):
        lines.append(f"-A ufw-after-input -p udp -m udp --dport {port} -j ufw-skip-to-policy-input")
    lines += [
        '-A ufw-after-logging-forward -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "',
        "-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A ufw-before-forward -p icmp -m icmp --icmp-type 3 -j ACCEPT",
        "-A ufw-before-forward -p icmp -m icmp --icmp-type 8 -j ACCEPT",
        "-A ufw-before-forward -j ufw-user-forward",
        "-A ufw-before-input -i lo -j ACCEPT",
        "-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A ufw-before-input -m conntrack --ctstate INVALID -j ufw-logging-deny",
        "-A ufw-before-input -m conntrack --ctstate INVALID -j DROP",
        "-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT",
        "-A ufw-before-input -j ufw-not-local",
        "-A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT",
        "-A ufw-before-input -j ufw-user-input",
        "-A ufw-before-output -o lo -j ACCEPT",
        "-A ufw-before-output -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A ufw-before-output -j ufw-user-output",
        '-A ufw-logging-deny -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "',
        "-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN",
        "-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN",
        "-A ufw-not-local -m addrtype --dst-type BROADCAST -j RETURN",
        "-A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j ufw-logging-deny",
        "-A ufw-not-local -j DROP",
        f"-A ufw-skip-to-policy-input -j {incoming}",
        f"-A ufw-skip-to-policy-forward -j {routed}",
        "-A ufw-skip-to-policy-output -j ACCEPT",
        "-A ufw-track-output -p tcp -m conntrack --ctstate NEW -j ACCEPT",
        "-A ufw-track-output -p udp -m conntrack --ctstate NEW -j ACCEPT",
    ]
    for _ in range(random.randint(1, 4)):
        port = random.choice([22, 80, 443, 8080])
        source = random.choice(["", f"-s {router.net}.0/24 ", f"-s {router.net}.10/32 "])
        verdict = random.choice(["ACCEPT", "ACCEPT", "DROP", "REJECT --reject-with tcp-reset"])
        lines.append(f"-A ufw-user-input {source}-p tcp -m tcp --dport {port} -j {verdict}")
        way = random.choice([f"-i {router.lan} -o {router.wan} ", f"-i {router.wan} -o {router.lan} ", ""])
        ports = random.choice([f"-m tcp --dport {port}", "-m multiport --dports 80,443,8000:8100"])
        lines.append(f"-A ufw-user-forward {way}{source}-p tcp {ports} -j {verdict}")
    if random.random() < 0.5:
        lines += [
            "-A ufw-user-input -p tcp -m tcp --dport 2222 -m conntrack --ctstate NEW -m recent --set --name DEFAULT "
            "--mask 255.255.255.255 --rsource",
            "-A ufw-user-input -p tcp -m tcp --dport 2222 -m conntrack --ctstate NEW -m recent --update --seconds 30 "
            "--hitcount 6 --name DEFAULT --mask 255.255.255.255 --rsource -j ufw-user-limit",
            "-A ufw-user-input -p tcp -m tcp --dport 2222 -j ufw-user-limit-accept",
            '-A ufw-user-limit -m limit --limit 3/min -j LOG --log-prefix "[UFW LIMIT BLOCK] "',
            "-A ufw-user-limit -j REJECT --reject-with icmp-port-unreachable",
            "-A ufw-user-limit-accept -j ACCEPT",
        ]
        router.reset += "echo / > /proc/net/xt_recent/DEFAULT\n"
        lab.ask(router.address, "2222/tcp", "2222/tcp")
    router.iptables("\n".join([*lines, "COMMIT"]))
    lab.ask(f"{router.net}.1", "22/tcp", "80/tcp", "53/udp", "icmp")
    lab.ask(f"{router.net}.10", "80/tcp", "22/tcp", "icmp")


def firewalld(lab: Lab, router: Router) -> None:
    """Zones public and internal, a policy between them, masquerade and a forwarded port, as firewalld prints nft."""
    random = lab.random
    zones = {"public": router.wan, "internal": router.lan}
    services = {zone: sorted(random.sample([22, 53, 80, 443, 8080], 2)) for zone in zones}
    target = random.choice(["ACCEPT", "CONTINUE", "REJECT"])
    masquerade, forward_port = random.random() < 0.6, random.random() < 0.6
    dispatch = {
        chain: "\n".join(f'{key} "{device}" goto {prefix}_{zone}' for zone, device in zones.items())
        for chain, key, prefix in (
            ("filter_INPUT_ZONES", "iifname", "filter_IN"),
            ("nat_PREROUTING_ZONES", "iifname", "nat_PRE"),
            ("mangle_PREROUTING_ZONES", "iifname", "mangle_PRE"),
        )
    }
    parts = ("pre", "log", "deny", "allow", "post")
    chains = []
    for zone in zones:
        for kind in ("filter_IN", "nat_PRE", "mangle_PRE", "filter_FWD", "nat_POST"):
            for part in parts:
                body = ""
                if kind == "filter_IN" and part == "allow":
                    body = "\n".join(f"tcp dport {port} accept" for port in services[zone])
                if kind == "nat_PRE" and part == "allow" and zone == "public" and forward_port:
                    body = f"meta nfproto ipv4 tcp dport 2222 dnat ip to {router.net}.20:22"
                if kind == "nat_POST" and part == "allow" and zone == "public" and masquerade:
                    body = 'meta nfproto ipv4 oifname != "lo" masquerade'
                if kind == "filter_FWD" and part == "allow":
                    body = f'oifname "{zones[zone]}" accept' if zone == "internal" else ""
                chains.append(f"chain {kind}_{zone}_{part} {{ {body}\n }}")
            jumps = "\n".join(f"jump {kind}_{zone}_{part}" for part in parts)
            last = "reject with icmpx admin-prohibited" if kind in ("filter_IN", "filter_FWD") else ""
            icmp = "meta l4proto { icmp, ipv6-icmp } accept" if kind == "filter_IN" else ""
            chains.append(f"chain {kind}_{zone} {{\n{jumps}\n{icmp}\n{last}\n}}")
    verdict = {"ACCEPT": "accept", "CONTINUE": "", "REJECT": "reject with icmpx admin-prohibited"}[target]
    ports = f"tcp dport {{ {', '.join(map(str, sorted(random.sample([22, 80, 443, 8443], 2))))} }} accept"
    router.nft(f"""table inet firewalld {{
        {chr(10).join(chains)}
        chain filter_FWD_policy_in-out {{
            ct state new,untracked jump filter_FWD_policy_in-out_allow
            {verdict}
        }}
        chain filter_FWD_policy_in-out_allow {{
            {ports}
        }}
        {chr(10).join(f"chain {name} {{{chr(10)}{body}{chr(10)}}}" for name, body in dispatch.items())}
        chain nat_POSTROUTING_ZONES {{
            oifname "{zones["public"]}" goto nat_POST_public
            oifname "{zones["internal"]}" goto nat_POST_internal
        }}
        chain filter_FORWARD_POLICIES_pre {{
            iifname "{zones["internal"]}" oifname "{zones["public"]}" jump filter_FWD_policy_in-out
        }}
        chain filter_FORWARD_ZONES {{
            iifname "{zones["public"]}" goto filter_FWD_public
            iifname "{zones["internal"]}" goto filter_FWD_internal
            goto filter_FWD_public
        }}
        chain mangle_PREROUTING {{
            type filter hook prerouting priority mangle + 10; policy accept;
            jump mangle_PREROUTING_ZONES
        }}
        chain nat_PREROUTING {{
            type nat hook prerouting priority dstnat + 10; policy accept;
            jump nat_PREROUTING_ZONES
        }}
        chain nat_POSTROUTING {{
            type nat hook postrouting priority srcnat + 10; policy accept;
            jump nat_POSTROUTING_ZONES
        }}
        chain filter_INPUT {{
            type filter hook input priority filter + 10; policy accept;
            ct state {{ established, related }} accept
            ct status dnat accept
            iifname "lo" accept
            ct state invalid drop
            jump filter_INPUT_ZONES
            reject with icmpx admin-prohibited
        }}
        chain filter_FORWARD {{
            type filter hook forward priority filter + 10; policy accept;
            ct state {{ established, related }} accept
            ct status dnat accept
            iifname "lo" accept
            ct state invalid drop
            jump filter_FORWARD_POLICIES_pre
            jump filter_FORWARD_ZONES
            reject with icmpx admin-prohibited
        }}
        chain filter_OUTPUT {{
            type filter hook output priority filter + 10; policy accept;
            ct state {{ established, related }} accept
            oifname "lo" accept
        }}
    }}""")
    lab.ask(router.address, "2222/tcp", "22/tcp", "icmp")
    lab.ask(f"{router.net}.20", "22/tcp", "80/tcp", "icmp")
    lab.ask(FAR[0], "443/tcp", "22/tcp", "53/udp")


FIREWALLS: dict[str, Callable[[Lab, Router], None]] = {"ufw": ufw, "firewalld": firewalld}
