"""ufw, firewalld, fw4, shorewall, fail2ban, and rules by hand that count: what these programs write."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.real_lab import FAR, ISP, Lab, Router


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


def fw4(lab: Lab, router: Router) -> None:
    """OpenWrt: zones lan and wan, a redirect with reflection, masquerading."""
    random = lab.random
    to_lan, to_wan = random.choice(["drop", "reject"]), random.random() < 0.8
    net, inner = f"{router.net}.0/24", f"{router.net}.20"
    lan, wan = f'"{router.lan}"', f'"{router.wan}"'
    open_port = random.choice([22, 443])
    router.nft(f"""table inet fw4 {{
        chain input {{
            type filter hook input priority filter; policy drop;
            iif "lo" accept comment "!fw4: Accept traffic from loopback"
            ct state vmap {{ established : accept, related : accept }} comment "!fw4: Handle inbound flows"
            tcp flags & (fin | syn | rst | ack) == syn jump syn_flood comment "!fw4: Rate limit TCP syn packets"
            iifname {lan} jump input_lan
            iifname {wan} jump input_wan
            jump handle_reject
        }}
        chain forward {{
            type filter hook forward priority filter; policy drop;
            ct state vmap {{ established : accept, related : accept }} comment "!fw4: Handle forwarded flows"
            iifname {lan} jump forward_lan
            iifname {wan} jump forward_wan
            jump handle_reject
        }}
        chain output {{
            type filter hook output priority filter; policy accept;
            oif "lo" accept
            ct state vmap {{ established : accept, related : accept }}
        }}
        chain prerouting {{
            type filter hook prerouting priority filter; policy accept;
            iifname {lan} jump helper_lan
        }}
        chain helper_lan {{
        }}
        chain handle_reject {{
            meta l4proto tcp reject with tcp reset comment "!fw4: Reject TCP traffic"
            reject comment "!fw4: Reject any other traffic"
        }}
        chain syn_flood {{
            limit rate 25/second burst 50 packets return comment "!fw4: Accept SYN packets below rate-limit"
            drop comment "!fw4: Drop excess packets"
        }}
        chain input_lan {{
            ct status dnat accept comment "!fw4: Accept port redirections"
            jump accept_from_lan
        }}
        chain accept_from_lan {{
            iifname {lan} counter accept comment "!fw4: accept lan IPv4/IPv6 traffic"
        }}
        chain input_wan {{
            meta nfproto ipv4 icmp type echo-request counter accept comment "!fw4: Allow-Ping"
            tcp dport {open_port} counter accept comment "!fw4: Allow-Admin"
            ct status dnat accept comment "!fw4: Accept port redirections"
            jump handle_reject
        }}
        chain forward_lan {{
            {f'oifname {wan} counter accept comment "!fw4: accept wan IPv4/IPv6 traffic"' if to_wan else ""}
            ct status dnat accept comment "!fw4: Accept port forwards"
            oifname {lan} counter accept comment "!fw4: accept lan IPv4/IPv6 traffic"
            {"counter drop" if to_lan == "drop" else "jump handle_reject"}
        }}
        chain forward_wan {{
            ct status dnat accept comment "!fw4: Accept port forwards"
            ip daddr {router.net}.77 tcp dport {{ 80, 443 }} counter accept comment "!fw4: Allow-Web"
            {"counter drop" if to_lan == "drop" else "jump handle_reject"}
        }}
        chain dstnat {{
            type nat hook prerouting priority dstnat; policy accept;
            iifname {lan} jump dstnat_lan
            iifname {wan} jump dstnat_wan
        }}
        chain srcnat {{
            type nat hook postrouting priority srcnat; policy accept;
            oifname {lan} jump srcnat_lan
            oifname {wan} jump srcnat_wan
        }}
        chain dstnat_lan {{
            ip saddr {net} ip daddr {router.address} tcp dport 8080 dnat ip to {inner}:80 comment "!fw4: web (reflection)"
        }}
        chain srcnat_lan {{
            ip saddr {net} ip daddr {inner} tcp dport 80 snat ip to {router.net}.1 comment "!fw4: web (reflection)"
        }}
        chain dstnat_wan {{
            meta nfproto ipv4 tcp dport 8080 counter dnat ip to {inner}:80 comment "!fw4: web"
        }}
        chain srcnat_wan {{
            meta nfproto ipv4 masquerade comment "!fw4: Masquerade IPv4 wan traffic"
        }}
    }}""")
    host = (f"h{router.net.rpartition('.')[2]}", f"{router.net}.10")
    lab.ask(router.address, "8080/tcp", source=host)
    lab.ask(router.address, "8080/tcp", f"{open_port}/tcp", "icmp", source=(ISP, FAR[0]))
    lab.ask(FAR[0], "443/tcp", "53/udp", source=host)
    lab.ask(f"{router.net}.77", "80/tcp", "22/tcp", source=(ISP, FAR[1]))


def shorewall(lab: Lab, router: Router) -> None:
    """Zones net and loc, rules, dynamic chain, `~log` chains, as shorewall's compiled script leaves them."""
    random = lab.random
    lan, wan = router.lan, router.wan
    policy = random.choice(["DROP", "reject"])
    dnat = random.random() < 0.6
    extra = f"-A net-loc -d {router.net}.20/32 -p tcp -m tcp --dport 443 -m conntrack --ctorigdst {router.address}"
    rules = "\n".join(
        f"-A {random.choice(['net-loc', 'loc-net', 'net-fw', 'loc-fw'])} -p tcp -m multiport --dports {ports} -j ACCEPT"
        for ports in random.sample(["22,80", "443", "53,8443", "8000:8100", "22"], 3)
    )
    router.iptables(
        f"""*raw
    -A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp
    COMMIT
    *nat
    :net_dnat - [0:0]
    -A PREROUTING -i {wan} -j net_dnat
    {f"-A net_dnat -d {router.address}/32 -p tcp -m tcp --dport 8443 -j DNAT --to-destination {router.net}.20:443" * dnat}
    -A POSTROUTING -o {wan} -s {router.net}.0/24 -j MASQUERADE
    COMMIT
    *filter
    :INPUT DROP [0:0]
    :FORWARD DROP [0:0]
    :OUTPUT DROP [0:0]
    :dynamic - [0:0]
    :loc-fw - [0:0]
    :loc-net - [0:0]
    :loc_frwd - [0:0]
    :net-fw - [0:0]
    :net-loc - [0:0]
    :net_frwd - [0:0]
    :logdrop - [0:0]
    :reject - [0:0]
    :smurfs - [0:0]
    :tcpflags - [0:0]
    -A INPUT -m conntrack --ctstate INVALID,NEW,UNTRACKED -j dynamic
    -A INPUT -i {wan} -j net-fw
    -A INPUT -i {lan} -j loc-fw
    -A INPUT -i lo -j ACCEPT
    -A INPUT -j reject
    -A FORWARD -m conntrack --ctstate INVALID,NEW,UNTRACKED -j dynamic
    -A FORWARD -i {wan} -j net_frwd
    -A FORWARD -i {lan} -j loc_frwd
    -A FORWARD -j reject
    -A OUTPUT -j ACCEPT
    -A dynamic -s {router.net}.20/32 -p udp -j logdrop
    -A logdrop -j DROP
    -A loc_frwd -o {wan} -j loc-net
    -A loc_frwd -o {lan} -j ACCEPT
    -A net_frwd -o {lan} -j net-loc
    -A loc-fw -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    -A loc-net -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    -A net-fw -m conntrack --ctstate INVALID,NEW,UNTRACKED -j smurfs
    -A net-fw -p tcp -j tcpflags
    -A net-fw -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    -A net-loc -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    {f"{extra} --ctorigdstport 8443 -j ACCEPT" * dnat}
    -A net-fw -p icmp -m icmp --icmp-type 8 -m limit --limit 10/sec -j ACCEPT
    {rules}
    -A loc-fw -j ACCEPT
    -A loc-net -j {random.choice(["ACCEPT", policy])}
    -A net-fw -j {policy}
    -A net-loc -m addrtype --dst-type BROADCAST -j DROP
    -A net-loc -j {policy}
    -A reject -m addrtype --src-type BROADCAST -j DROP
    -A reject -s 224.0.0.0/4 -j DROP
    -A reject -p igmp -j DROP
    -A reject -p tcp -j REJECT --reject-with tcp-reset
    -A reject -p udp -j REJECT --reject-with icmp-port-unreachable
    -A reject -p icmp -j REJECT --reject-with icmp-host-unreachable
    -A reject -j REJECT --reject-with icmp-host-prohibited
    -A smurfs -s 0.0.0.0/32 -j RETURN
    -A smurfs -m addrtype --src-type BROADCAST -j DROP
    -A tcpflags -p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG FIN,PSH,URG -j DROP
    -A tcpflags -p tcp -m tcp --tcp-flags SYN,RST SYN,RST -j DROP
    -A tcpflags -p tcp -m tcp --sport 0 --tcp-flags FIN,SYN,RST,ACK SYN -j DROP
    COMMIT""".replace("    -A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp\n", "")
    )
    lab.ask(router.address, "8443/tcp", "22/tcp", "icmp", source=(ISP, FAR[1]))
    lab.ask(f"{router.net}.20", "443/tcp", "22/tcp", "53/udp", source=(ISP, FAR[0]))
    lab.ask(FAR[0], "443/tcp", "80/tcp", "53/udp", source=(f"h{router.net.rpartition('.')[2]}", f"{router.net}.20"))


def fail2ban(lab: Lab, router: Router) -> None:
    """Jails in ipset with a timeout (iptables) or in sets of table inet f2b-table."""
    random = lab.random
    banned = [FAR[0], f"{router.net}.20"]
    if random.random() < 0.5:
        elements = "\n".join(f"add f2b-sshd {address} timeout 580" for address in banned)
        router.ipset(f"create f2b-sshd hash:ip family inet hashsize 1024 maxelem 65536 timeout 600\n{elements}")
        router.iptables(f"""*filter
        :f2b-recidive - [0:0]
        -A INPUT -p tcp -m multiport --dports 22,2222 -m set --match-set f2b-sshd src -j REJECT
        -A FORWARD -p tcp -m multiport --dports 22 -m set --match-set f2b-sshd src -j DROP
        -A INPUT -p tcp -j f2b-recidive
        -A f2b-recidive -s {FAR[1]}/32 -j REJECT --reject-with icmp-port-unreachable
        -A f2b-recidive -j RETURN
        COMMIT""")
    else:
        elements = ", ".join(f"{address} timeout 10m expires 9m50s" for address in banned)
        router.nft(f"""table inet f2b-table {{
            set addr-set-sshd {{
                type ipv4_addr
                flags timeout
                elements = {{ {elements} }}
            }}
            chain f2b-chain {{
                type filter hook input priority filter - 1; policy accept;
                tcp dport {{ 22, 2222 }} ip saddr @addr-set-sshd reject with icmp port-unreachable
            }}
            chain f2b-forward {{
                type filter hook forward priority filter - 1; policy accept;
                tcp dport 22 ip saddr @addr-set-sshd drop
            }}
        }}""")
    host = (f"h{router.net.rpartition('.')[2]}", f"{router.net}.20")
    lab.ask(f"{router.net}.1", "22/tcp", "80/tcp", source=host)
    lab.ask(router.address, "22/tcp", "2222/tcp", source=(ISP, FAR[0]))
    lab.ask(router.address, "22/tcp", "80/tcp", source=(ISP, FAR[1]))
    lab.ask(f"{router.net}.10", "22/tcp", "80/tcp", source=(ISP, FAR[0]))


RESET = """iptables-save > {file}
printf '*filter\\n-P FORWARD ACCEPT\\nCOMMIT\\n' | iptables-restore
ipset flush seen
iptables-restore < {file}
for f in /proc/net/xt_recent/*; do [ ! -e $f ] || echo / > $f; done
"""


def counted(lab: Lab, router: Router) -> None:
    """recent, hashlimit, limit, connlimit, and sets that rules fill: what a first packet meets in a fresh state."""
    random = lab.random
    parts = random.sample(
        [
            """-A FORWARD -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --set --name SSH --rsource
            -A FORWARD -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --update --seconds 60 --hitcount 4 """
            "--name SSH --rsource -j DROP",
            "-A FORWARD -p tcp -m tcp --dport 80 -m hashlimit --hashlimit-above 2/sec --hashlimit-burst 3 "
            "--hashlimit-mode srcip --hashlimit-name web -j DROP",
            "-A FORWARD -p icmp -m limit --limit 1/sec --limit-burst 5 -j ACCEPT\n-A FORWARD -p icmp -j DROP",
            "-A FORWARD -p tcp -m tcp --dport 443 -m connlimit --connlimit-above 2 --connlimit-mask 32 -j REJECT "
            "--reject-with tcp-reset",
            "-A FORWARD -p tcp -m tcp --dport 8080 -j SET --add-set seen src --exist\n"
            "-A FORWARD -p udp -m set --match-set seen src -j DROP",
            """-A FORWARD -p tcp -m tcp --dport 2222 -m recent --rcheck --seconds 15 --name KNOCK --rsource -j ACCEPT
            -A FORWARD -p tcp -m tcp --dport 8443 -m recent --set --name KNOCK --rsource -j DROP
            -A FORWARD -p tcp -m tcp --dport 2222 -j DROP""",
        ],
        3,
    )
    text = "*filter\n" + "\n".join(parts) + "\nCOMMIT"
    router.ipset("create seen hash:ip family inet hashsize 1024 maxelem 65536 timeout 300")
    router.iptables(text)
    if random.random() < 0.5:
        router.nft("""table inet guard {
            set portscan {
                type ipv4_addr
                size 65535
                flags dynamic,timeout
                timeout 10m
            }
            chain forward {
                type filter hook forward priority filter + 5; policy accept;
                ip saddr @portscan tcp dport { 53, 443 } drop
                tcp dport 30080 add @portscan { ip saddr } drop
            }
        }""")
        router.reset += "nft flush set inet guard portscan\n"
    router.reset += RESET.format(file=f"/run/{router.name}.rules")
    lab.ask(f"{router.net}.10", "22/tcp", "80/tcp", "icmp", "443/tcp", "8080/tcp", "53/udp", source=(ISP, FAR[0]))
    host = (f"h{router.net.rpartition('.')[2]}", f"{router.net}.20")
    lab.ask(FAR[0], "30080/tcp", "443/tcp", "8443/tcp", "2222/tcp", "53/udp", "22/tcp", source=host)


FIREWALLS: dict[str, Callable[[Lab, Router], None]] = {
    "ufw": ufw,
    "firewalld": firewalld,
    "fw4": fw4,
    "shorewall": shorewall,
    "fail2ban": fail2ban,
    "counted": counted,
}
