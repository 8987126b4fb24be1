"""What the real tools print passes the allow lists: rules are loaded into a namespace, saved there, and read back."""

from __future__ import annotations

import subprocess

import pytest

from netlab.facts import dumps
from netlab.live.load import tool
from tests.support.patience import patience

MATCHES = """
-p tcp -m tcp --sport 1024:65535 --dport 22 ! --tcp-flags FIN,SYN,RST,ACK SYN --tcp-option 2
-p udp -m udp ! --dport 53
-p icmp -m icmp --icmp-type 8
-p sctp -m sctp --dport 80 --chunk-types any INIT
-p esp -m esp --espspi 1:5
-p ah -m ah --ahspi 1:5
-p 47
! -s 10.0.0.0/255.0.255.0 -d 10.1.0.1 -i eth+ ! -o wg0@x -f
-m addrtype --src-type LOCAL --dst-type ! LOCAL --limit-iface-in
-m comment --comment "it is \\"quoted\\", with a \\\\ and a 'tick'; $(x) # -- "
-m comment --comment -starts-with-a-minus
-m connbytes --connbytes 100:200 --connbytes-dir both --connbytes-mode avgpkt
-m connlimit --connlimit-above 5 --connlimit-mask 24 --connlimit-saddr
-m connmark ! --mark 0x1/0xff
-m conntrack --ctstate RELATED,ESTABLISHED --ctproto 6 --ctorigsrc 10.0.0.0/8 --ctorigdstport 80 --ctdir REPLY
-m conntrack ! --ctstatus ASSURED --ctexpire 1:50
-m cpu --cpu 0
-m dscp --dscp 0x2e
-p tcp -m ecn --ecn-tcp-cwr
-m hashlimit --hashlimit-above 5/sec --hashlimit-burst 7 --hashlimit-mode srcip,dstport --hashlimit-name a-b
-m helper --helper ftp
-m iprange --src-range 10.0.0.1-10.0.0.9 ! --dst-range 10.0.1.1-10.0.1.9
-m length --length 60:80
-m limit --limit 5/min --limit-burst 9
-m mac --mac-source 02:00:00:00:00:01
-m mark --mark 0x1/0xff
-p tcp -m multiport ! --dports 22,80:90,443
-m owner ! --uid-owner 0-10 --gid-owner 5 --socket-exists
-m physdev --physdev-in eth0 --physdev-is-bridged
-m pkttype --pkt-type multicast
-m policy --dir in --pol ipsec --strict --reqid 5 --proto esp --mode tunnel --tunnel-src 10.0.0.0/8 --tunnel-dst 10.1.0.0/16
-m quota --quota 1000
-m realm --realm 0x5/0xff
-m recent --rcheck --seconds 60 --hitcount 4 --reap --rttl --name SSH --mask 255.255.255.0 --rsource
-m recent --set --name SSH --rdest
-m rpfilter --loose --validmark --invert
-m set ! --match-set a src --return-nomatch ! --update-counters --packets-gt 5
-m socket --transparent --nowildcard
-m state --state NEW
-m statistic --mode random ! --probability 0.5
-m statistic --mode nth --every 3 --packet 1
-m string --string "GET /x y" --algo bm --from 5 --to 90 --icase
-m string --hex-string "|00 01|x" --algo kmp
-p tcp -m tcpmss --mss 500:1400
-m time --timestart 08:00 --timestop 17:30 --weekdays Mon,Tue --monthdays 1,5 --kerneltz --datestart 2030-01-01
-m tos --tos 0x10/0x3f
-m ttl --ttl-gt 5
-m u32 --u32 "0>>22&0x3C@8&0xFF=1,2:5"
-m bpf --bytecode "1,6 0 0 65535"
-m cluster --cluster-total-nodes 4 --cluster-local-node 2 --cluster-hash-seed 0x5
-m cgroup --cgroup 5
-m devgroup --src-group 5
-m connlabel --label 5 --set
""".strip().split("\n")
TARGETS = {
    "filter": """ACCEPT|DROP|RETURN|REJECT --reject-with icmp-admin-prohibited|own-chain
-p tcp -j REJECT --reject-with tcp-reset|LOG --log-prefix "a b: " --log-level 7 --log-tcp-options --log-uid
NFLOG --nflog-group 5 --nflog-prefix "x y" --nflog-size 90|NFQUEUE --queue-balance 1:4 --queue-bypass --queue-cpu-fanout
SET --add-set a src --exist --timeout 60|-g own-chain
-p tcp -m tcp --dport 80 -j SYNPROXY --sack-perm --wscale 7 --mss 1460""",
    "nat": """DNAT --to-destination 10.0.0.1-10.0.0.9:80-90 --random --persistent|REDIRECT --to-ports 80
-p tcp -j DNAT --to-destination :8080""",
    "raw": "CT --notrack|CT --zone 5 --helper ftp|NOTRACK|TRACE|CT --ctevents new,destroy",
    "mangle": """MARK --set-xmark 0x5/0xff|CONNMARK --save-mark --nfmask 0xff --ctmask 0xff|CONNMARK --restore-mark
TOS --set-tos 0x10/0x3f|DSCP --set-dscp 0x2e|TTL --ttl-inc 1|-p tcp -j ECN --ecn-tcp-remove|CLASSIFY --set-class 1:5
-p tcp --syn -j TCPMSS --clamp-mss-to-pmtu|-p tcp -j TCPMSS --set-mss 1400|TEE --gateway 10.0.0.9
-p tcp -j TPROXY --on-port 80 --on-ip 10.0.0.1 --tproxy-mark 0x1/0x1|CHECKSUM --checksum-fill
-p tcp -j TCPOPTSTRIP --strip-options 3,5|HMARK --hmark-tuple src,dst --hmark-mod 5 --hmark-offset 1 --hmark-rnd 5""",
}
SETS = """
create a hash:ip timeout 60 counters comment skbinfo
create b hash:net,port,net family inet6 forceadd
create c bitmap:port range 1-100 timeout 5
create d bitmap:ip range 10.0.0.0/24 netmask 28
create e bitmap:ip,mac range 10.0.0.0-10.0.0.255
create f hash:net,iface
create g hash:ip,mark markmask 0xff
create h hash:mac comment
create i list:set size 16 comment
create j hash:ip,port,net
create k:v4 hash:net,net counters
create l hash:ip,port,ip
create m hash:ip,mac
add a 10.0.0.1 timeout 50 packets 5 bytes 900 comment "two words, a # and a ;" skbmark 0x1/0xff skbprio 1:10 skbqueue 5
add b 2001:db8::/32,tcp:80-85,fe80::/10 nomatch
add c 22-25
add d 10.0.0.16
add e 10.0.0.1,02:00:00:00:00:01
add e 10.0.0.2
add f 10.0.0.0/8,physdev:eth0
add f 10.1.0.0/16,br-lan
add g 10.0.0.1,0x5
add h 02:00:00:00:00:01 comment ""
add i a comment "x"
add j 10.0.0.1,icmp:echo-request,10.0.0.0/8
add j 10.0.0.1,47:0,10.0.0.0/8
add k:v4 10.0.0.0/8,10.1.0.0/16
add l 10.0.0.1,udp:53,10.0.0.2
add m 10.0.0.1,02:00:00:00:00:01
"""
NFT = """
table inet t {
	comment "a } table # with \\\\"
	counter hits { packets 5 bytes 90; comment "x" }
	quota q { over 25 mbytes used 5 bytes }
	limit l { rate over 400/minute burst 5 packets }
	ct helper ftp { type "ftp" protocol tcp; l3proto inet; }
	ct timeout short { protocol tcp; l3proto ip; policy = { established : 120, close : 4 } }
	ct expectation e { protocol udp; dport 9876; timeout 1m; size 12; l3proto ip; }
	synproxy s { mss 1460; wscale 7; timestamp sack-perm; }
	set blocked { type ipv4_addr; flags interval, timeout; timeout 1h; gc-interval 5m; auto-merge;
		elements = { 10.0.0.0/8 timeout 50m comment "x y", 192.168.0.1-192.168.0.9 } }
	set dyn { type ipv4_addr . inet_service; size 65535; flags dynamic, timeout; counter; elements = { 10.0.0.1 . 80 } }
	set typed { typeof vlan id . ip saddr; elements = { 5 . 10.0.0.1 } }
	map ways { type inet_service : verdict; elements = { 22 : accept, 80 : jump own, * : drop } }
	map nat-to { type ipv4_addr : ipv4_addr . inet_service; elements = { 10.0.0.1 : 10.0.0.2 . 80 } }
	chain own { comment "own" ; }
	chain base {
		type filter hook forward priority filter - 5; policy drop;
		iifname "eth*" oifname != { "a.5", "b-c" } ct state vmap { established : accept, related : accept, invalid : drop }
		ip saddr @blocked counter packets 5 bytes 50 drop comment "no; not { these }"
		ip daddr . tcp dport @dyn add @dyn { ip saddr . tcp dport timeout 1m limit rate 5/second } accept
		update @dyn { ip saddr . tcp dport } counter name "hits" limit name "l" quota name "q"
		delete @dyn { ip saddr . tcp dport }
		tcp dport vmap @ways
		tcp flags & (fin | syn | rst | ack) == syn tcp option maxseg size set rt mtu
		tcp flags syn / syn,ack
		meta l4proto { tcp, udp } th dport 53 jump { ip saddr 10.0.0.1 drop; accept }
		icmp type echo-request limit rate 5/second burst 9 packets accept
		meta mark set ct mark and 0xff
		ct mark set meta mark
		ip dscp set cs4
		ip protocol . th dport { tcp . 22, udp . 53 } accept
		fib daddr . iif type != { local, broadcast } drop
		numgen random mod 3 vmap { 0 : goto own, 1 : drop }
		jhash ip saddr . tcp dport mod 4 seed 0x5 vmap { 0 : accept }
		@th,64,32 & 0xff == 0x5 accept
		log prefix "a b: " level info flags all
		log group 5 snaplen 90
		ct helper set "ftp"
		ct count over 5 drop
		meter m size 65535 { ip saddr limit rate 5/second } accept
		meta hour "08:00"-"17:00" meta day "Monday" accept
		queue flags bypass to 1-3
		synproxy mss 1460 wscale 7 timestamp sack-perm
		ip6 saddr fe80::/10 icmpv6 type { nd-neighbor-solicit, nd-router-advert } accept
		ether saddr 02:00:00:00:00:01 vlan id 5 accept
		ct original ip saddr 10.0.0.0/8 ct expiration 1m-1h ct event set new,destroy accept
		rt classid 5 ipsec in reqid 5 socket transparent 1 accept
		reject with icmpx admin-prohibited
	}
	chain out {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "up" masquerade to :1024-65535 random,persistent
		ip saddr 10.0.0.1 snat ip to 10.0.0.5-10.0.0.9:1024-2048
		tcp dport { 1-5, 8 } snat ip to 10.0.0.1
	}
	chain in {
		type nat hook prerouting priority dstnat; policy accept;
		dnat ip to ip daddr map @nat-to
		tcp dport 80 redirect to :8080
		dnat ip to numgen inc mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }
		tcp dport 81 tproxy to :80
	}
}
table bridge b { chain c { type filter hook forward priority 0; ether type ip drop; } }
table netdev n { chain c { type filter hook ingress device "lo" priority -500; policy accept; ip ttl set 64 dup to "lo" } }
table arp a { chain c { type filter hook input priority 0; arp operation request accept } }
"""


def inside(script: str, text: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a namespace of its own."""
    command = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", script]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=patience(60))


def own(name: str) -> str:
    tool(name)
    return name


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_iptables_save(variant: str) -> None:
    """Rules this kernel or variant refuses are left out, one by one; most must be left."""
    begin = "ipset create a hash:ip timeout 60 counters 2>/dev/null; ip link set lo up; "
    rules = [("filter", f"-A FORWARD {rule} -j ACCEPT") for rule in MATCHES]
    for table, targets in TARGETS.items():
        chain = "PREROUTING" if table != "filter" else "FORWARD"
        for target in targets.replace("\n", "|").split("|"):
            rules.append((table, f"-A {chain} {target if target.startswith('-') else '-j ' + target}"))
    blocks = "".join(f"*{table}\n:own-chain - [0:0]\n{rule}\nCOMMIT\n\f" for table, rule in rules)
    restore = f"iptables-{variant}-restore"
    loop = f"while IFS= read -r -d '' block; do printf '%s' \"$block\" | {restore} --noflush 2>/dev/null && n=$((n+1)); done"
    script = (
        f"{begin} n=0; {loop}; echo \"# loaded $n\"; iptables-{variant}-save -c; echo '# ----'; iptables-{variant}-save"
    )
    done = inside(
        f"exec bash -c '{script.replace(chr(39), chr(39) + chr(92) + chr(39) + chr(39))}'", blocks.replace("\f", "\0")
    )
    loaded, _, saved = done.stdout.partition("\n")
    if not saved.strip():
        pytest.skip(f"this machine has no iptables-{variant}: {done.stderr}")
    assert int(loaded.split()[-1]) > len(rules) // 2, done.stdout
    for text in saved.split("# ----\n"):
        assert dumps.faults("iptables.rules", text) == []


def test_ipset_save() -> None:
    """Set types this kernel does not have are left out, with their elements."""
    assert dumps.faults("ipset.rules", SETS) == []
    done = inside('while IFS= read -r line; do echo "$line" | ipset restore; done; ipset save', SETS)
    assert done.stdout.count("\n") > SETS.count("\n") // 2, done.stderr
    assert dumps.faults("ipset.rules", done.stdout) == []


def test_nft_list_ruleset() -> None:
    """Statements this kernel or nft refuses are left out, one by one."""
    lines = NFT.strip().split("\n")
    while True:
        done = inside("nft -f - && nft list ruleset && nft -a list ruleset && nft -s list ruleset", "\n".join(lines))
        if done.returncode == 0:
            break
        at = next(int(word.split(":")[1]) for word in done.stderr.split() if word.startswith("/dev/stdin:"))
        del lines[at - 1]
    assert len(lines) > NFT.count("\n") * 3 // 4, done.stdout
    assert dumps.faults("nft.rules", done.stdout) == []
    assert dumps.faults("nft.rules", NFT) == []


def test_iptables_rules_as_nft_lists_them() -> None:
    rules = "".join(f"-A FORWARD {rule} -j ACCEPT\n" for rule in MATCHES[:1] + MATCHES[9:11] + MATCHES[17:18])
    done = inside("iptables-nft-restore && nft list ruleset", f"*filter\n{rules}COMMIT\n")
    assert "table ip filter" in done.stdout
    assert dumps.faults("nft.rules", done.stdout) == []
