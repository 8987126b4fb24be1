"""Hostile facts: the actions that each file must not make a tool do, by file.

`{out}` is a folder outside the network's: `{out}/secret` contains a text that must never be shown, `{out}/run` is a
program that must never be run, and nothing may be written there.
"""

from __future__ import annotations

from dataclasses import dataclass

FILTER = "*filter\n:FORWARD ACCEPT [0:0]\n{}\nCOMMIT\n"
NFT = "table ip t {{\n\tchain c {{\n\t\t{}\n\t}}\n}}\n"
SETS = "create a hash:ip family inet\n{}\n"


@dataclass(frozen=True)
class Attack:
    """One hostile file of router r1; `refused` is the file and line that the refusal begins with, "" for none."""

    file: str
    content: str
    refused: str

    @property
    def name(self) -> str:
        """Name of the test."""
        return f"{self.file}: {self.content[:400].encode('unicode_escape').decode()[-70:]}"


_IPSET = r"""
save a -file {out}/written
save -file {out}/written
save a -f {out}/written
save a > {out}/written
 save a -file {out}/written
add a 10.0.0.1 -file {out}/written
add a 10.0.0.1 -f {out}/written
add a 10.0.0.1 -output save -file {out}/written
add a 10.0.0.1 comment "-file" comment "{out}/written"
add a 10.0.0.1 comment -file
add a 10.0.0.1 comment "x" save
add a 10.0.0.1 comment "x"save
add a 10.0.0.1 comment "x\" save"
add a 10.0.0.1 comment 'x'
add a 10.0.0.1 comment "not closed
add a 10.0.0.1;save a -file {out}/written
add a host.example.org
add a {out}/secret
add unknown 10.0.0.1
add a
add
create
create a hash:ip
create b hash:ip -exist
create b hash:ip -file {out}/written
create b hash:ip maxelem -1
create b hash:ip hashsize {out}/secret
create b hash:nonsense
create b ../../{out}/run
create ../../x hash:ip
create b/c hash:ip
create b#c hash:ip
create "b" hash:ip
create -file hash:ip
create b hash:ip comment "x"
-file {out}/written save a
-exist add a 10.0.0.1
-! add a 10.0.0.1
flush
flush a
destroy
destroy a
swap a a
rename a b
del a 10.0.0.1
test a 10.0.0.1
list a -output xml
restore -file {out}/secret
-R -file {out}/secret
version
help
COMMIT
quit
"""
_IPTABLES = r"""
--modprobe={out}/run -A FORWARD -j DROP
-A FORWARD --modprobe={out}/run -j DROP
-A FORWARD -M {out}/run -j DROP
-A FORWARD --modprobe {out}/run -m nonsense -j DROP
-A FORWARD --modpro={out}/run -m nonsense -j DROP
-A FORWARD --set --comment --modprobe={out}/run -j DROP
-A FORWARD -m comment --comment x --modprobe={out}/run -j DROP
-A FORWARD -m comment --comment "x"--modprobe={out}/run -j DROP
-A FORWARD -m comment --comment "x\" --modprobe={out}/run -j DROP
-A FORWARD -m comment --comment 'x --modprobe={out}/run' -j DROP
-A FORWARD -m comment --comment "not closed
-A FORWARD -m bpf --object-pinned {out}/secret -j DROP
-A FORWARD -m bpf --pinned {out}/secret -j DROP
-A FORWARD -m bpf --object-pin {out}/secret -j DROP
-A FORWARD -m bpf --bytecode --object-pinned -j DROP
-A FORWARD -m cgroup --path /{out} -j DROP
-A FORWARD -m recent --name ../../../{out}/written --set
-A FORWARD -m recent --set --name a/b --rsource
-A FORWARD -m hashlimit --hashlimit-upto 1/sec --hashlimit-name a/../b -j DROP
-A FORWARD -m geoip --src-cc ../../{out}/secret -j DROP
-A FORWARD -m {out}/run -j DROP
-A FORWARD -m ../../../..{out}/run -j DROP
-A FORWARD -j {out}/run
-A FORWARD -g ../../run
-A FORWARD -j nonsense
-A FORWARD -p ../../../..{out}/run -j DROP
-A FORWARD -j CT --helper ../../x
-A FORWARD -j LED --led-trigger-id x
-A FORWARD -j IDLETIMER --timeout 5 --label x
-A FORWARD -j AUDIT --type drop
-A FORWARD -s host.example.org -j DROP
-A FORWARD -m conntrack --ctorigsrc host.example.org -j DROP
-A FORWARD -j TEE --gateway host.example.org
-A FORWARD -i ../x -j DROP
-A FORWARD -i a;b -j DROP
-A FORWARD -t nat -j DROP
-A FORWARD -A INPUT -j DROP
-A FORWARD -j DROP -F
-A FORWARD -h
-A FORWARD -V
-A FORWARD -j DROP # comment
-A FORWARD -j DROP	-F
-A nowhere -j DROP
 -A FORWARD -j DROP
-t nat -F
-F
-F FORWARD
-X
-Z
-Z FORWARD
-P FORWARD ACCEPT
-N evil
-E FORWARD evil
-I FORWARD -j ACCEPT
-R FORWARD 1 -j ACCEPT
-D FORWARD 1
-L
-S
-C FORWARD -j DROP
--list
--version
:../../x - [0:0]
:x ACCEPT [0:0] -F
:x ACCEPT [0:0];
*nat
*../../etc
"""
_NFT_IN_CHAIN = r"""
include "{out}/secret"
include "{out}/*"
tcp dport 22 accept; include "{out}/secret"
1include "{out}/secret"
tcp dport 22 include "{out}/secret"
tcp dport {{ 22, include "{out}/secret" }} accept
jump {{ include "{out}/secret" }}
define x = 1
redefine x = 1
undefine x
flush ruleset
flush chain ip t c
delete table ip t
destroy table ip t
add rule ip t c drop
add table ip x
insert rule ip t c drop
create table ip x
replace rule ip t c handle 1 drop
reset counters
reset rules
list ruleset
rename chain ip t c d
export vm json
import vm json
monitor
describe tcp
delete rule ip t c handle 1
ip saddr $x drop
ip saddr {{ $x }} drop
log level audit
log prefix "not closed
ip saddr 10.0.0.1 \
}} include "{out}/secret"
tcp dport 22 `id` accept
"""
_NFT_AT_TOP = r"""
include "{out}/secret"
include "{out}/*.nft"
#!/usr/sbin/nft -f{nl}flush ruleset
flush ruleset
flush table ip t
define x = "{out}"
add table ip x
add rule ip t c drop
delete table ip t
destroy table ip t
list ruleset
monitor trace
describe ip saddr
export vm json
reset counters
insert rule ip t c drop
create chain ip t c
rename chain ip t a b
replace rule ip t c handle 1 drop
table ip reachq_bench {{ }}
table ip a/b {{ }}
table ip "a" {{ }}
table ip t;
table ip
table x y z {{ }}
= x
; include "{out}/secret"
{{ include "{out}/secret" }}
}}
table ip t {{
table ip t {{ include "{out}/secret"; }}
table ip t {{ chain c/d {{ }} }}
table ip t {{ set "x" {{ type ipv4_addr; }} }}
table ip t {{ set s {{ type ipv4_addr; include "{out}/secret" }} }}
table ip t {{ counter c {{ include "{out}/secret" }} }}
table ip t {{ ct helper h {{ include "{out}/secret"; }} }}
table ip t {{ chain c {{ flush ruleset }} }}
table ip t {{ flush ruleset; }}
table ip t {{ rule x }}
table ip t {{ chain c {{ add table ip x; }} }}
"""
_ROUTES = r"""
{{"dst": "10.5.0.0/16 dev lo", "dev": "up"}}
{{"dst": "10.5.0.0/16#", "dev": "up"}}
{{"dst": "10.5.0.0/16\n-force", "dev": "up"}}
{{"dst": "10.5.0.0/16\\\\\nlink del up", "dev": "up"}}
{{"dst": "10.5.0.0/16'", "dev": "up"}}
{{"dst": "host.example.org", "dev": "up"}}
{{"dst": "-batch {out}/secret", "dev": "up"}}
{{"dst": "{out}/secret", "dev": "up"}}
{{"dst": "10.5.0.0/16", "dev": "../../up"}}
{{"dst": "10.5.0.0/16", "dev": "up netns {out}/secret"}}
{{"dst": "10.5.0.0/16", "dev": "up", "gateway": "inet6"}}
{{"dst": "10.5.0.0/16", "dev": "up", "prefsrc": "file"}}
{{"dst": "10.5.0.0/16", "dev": "up", "metric": "1 table 255"}}
{{"dst": "10.5.0.0/16", "dev": "up", "metric": -1}}
{{"dst": "10.5.0.0/16", "dev": "up", "metric": 1e999}}
{{"dst": "10.5.0.0/16", "dev": "up", "metric": NaN}}
{{"dst": "10.5.0.0/16", "dev": "up", "scope": "link;"}}
{{"dst": "10.5.0.0/16", "dev": "up", "tos": "../x"}}
{{"dst": "10.5.0.0/16", "dev": "up", "type": "flush"}}
{{"dst": "10.5.0.0/16", "dev": "up", "type": "-batch"}}
{{"dst": "10.5.0.0/16", "dev": "up", "encap": "bpf obj {out}/secret"}}
{{"dst": "10.5.0.0/16", "nexthops": [{{"gateway": "$(id)", "dev": "up", "weight": 1}}]}}
{{"dst": "10.5.0.0/16", "nexthops": [{{"gateway": "10.9.0.2", "dev": "up", "weight": "1 via x"}}]}}
{{"dst": "10.5.0.0/16\ud800", "dev": "up"}}
"""
_RULES = r"""
{{"priority": "5 table 7", "src": "all", "table": "main"}}
{{"priority": 5, "src": "all -batch {out}/secret", "table": "main"}}
{{"priority": 5, "src": "host.example.org", "table": "main"}}
{{"priority": 5, "src": "all", "iif": "../x", "table": "main"}}
{{"priority": 5, "src": "all", "iif": "a b", "table": "main"}}
{{"priority": 5, "src": "all", "iif": "-x#", "table": "main"}}
{{"priority": 5, "src": "all", "ipproto": "tcp;id", "table": "main"}}
{{"priority": 5, "src": "all", "fwmark": "0x1 flush", "table": "main"}}
{{"priority": 5, "src": "all", "fwmark": "0x1", "fwmask": "{out}", "table": "main"}}
{{"priority": 5, "src": "all", "action": "flush"}}
{{"priority": 5, "src": "all", "goto": "10 save"}}
{{"priority": 5, "src": "all", "table": "main", "suppress_prefixlen": "0 save"}}
"""
_INTERFACES = [
    *("../../x", "a/b", "a b", "a#b", "a'b", 'a\\"b', "a\\\\b", "a;b", "a%d", "-x", ".", "..", "", "x" * 16, "ä" * 8),
    *("a\\nb", "a\\u0000b", "a\\u001b[2Jb", "a\\u009bb", "a\\u202eb", "a\\ud800b", "a$b", "a{{b", "a*b", "netns /x"),
]


def _lines(block: str) -> list[str]:
    return [line for line in block.split("\n") if line]


_BACKGROUND = "\x1b]0;x\x07"
ATTACKS = [
    *(Attack("ipset.rules", SETS.format(line), "r1/ipset.rules:2: ") for line in _lines(_IPSET)),
    Attack("ipset.rules", SETS.format('add a 10.0.0.1 comment "' + "x" * 1000 + '" save'), "r1/ipset.rules:2: "),
    Attack("ipset.rules", SETS.format(f'add a 10.0.0.1 comment "{_BACKGROUND}"'), "r1/ipset.rules:2: "),
    Attack("ipset.rules", "create n hash:net,iface\nadd n 10.0.0.0/8,../x\n", "r1/ipset.rules:2: "),
    Attack("ipset.rules", "create l list:set\nadd l -file\n", "r1/ipset.rules:2: "),
    *(Attack("iptables.rules", FILTER.format(line), "r1/iptables.rules:3: ") for line in _lines(_IPTABLES)),
    Attack("iptables.rules", "-A FORWARD -j DROP\n", "r1/iptables.rules:1: "),
    Attack("iptables.rules", FILTER.format("") + "-F\n", "r1/iptables.rules:5: "),
    Attack("iptables.rules", FILTER.format("") * 2, "r1/iptables.rules:5: "),
    Attack("iptables.rules", "*filter\n:FORWARD DROP [0:0]\n", "r1/iptables.rules:1: "),
    Attack(
        "iptables.rules",
        FILTER.format('-A FORWARD -m comment --comment "' + "x" * 10_239 + '" -F'),
        "r1/iptables.rules:3: ",
    ),
    Attack("iptables.rules", FILTER.format("-A FORWARD -j DROP\r-F"), "r1/iptables.rules:3: "),
    Attack("iptables.rules", FILTER.format("-A FORWARD -j DROP\x0b-F"), "r1/iptables.rules:3: "),
    Attack("iptables.rules", FILTER.format("-A FORWARD -j DROP\u2028-F"), "r1/iptables.rules:3: "),
    Attack("iptables.rules", FILTER.format(f"# {_BACKGROUND}"), "r1/iptables.rules:3: "),
    *(Attack("nft.rules", NFT.format(line), "r1/nft.rules:3: ") for line in _lines(_NFT_IN_CHAIN)),
    *(
        Attack("nft.rules", line.replace("{nl}", "\n") + "\n", f"r1/nft.rules:{1 + line.count('{nl}')}: ")
        for line in _lines(_NFT_AT_TOP)
    ),
    Attack("nft.rules", NFT.format("accept") + "\0", "r1/nft.rules:6: contains a NUL"),
    Attack("nft.rules", NFT.format('log prefix "\x1b[31m"'), "r1/nft.rules:3: contains the control character U+001B"),
    Attack("nft.rules", NFT.format('log prefix "a\nb"'), "r1/nft.rules:3: "),
    Attack("nft.rules", NFT.format("ip saddr " + "{{ " * 30 + "}} " * 30), "r1/nft.rules:3: "),
    Attack("nft.rules", NFT.format("# " + "x" * (1 << 20)), "r1/nft.rules:3: "),
    Attack("nft.rules", "\ufeff" + NFT.format("accept"), "r1/nft.rules:1: begins with a byte order mark"),
    *(Attack("routes.json", f"[{{{{}}}},\n{line}]\n", "r1/routes.json:2: ") for line in _lines(_ROUTES)),
    *(Attack("rules.json", f"[{{{{}}}},\n{line}]\n", "r1/rules.json:2: ") for line in _lines(_RULES)),
    *(
        Attack("addr.json", f'[{{{{}}}},\n{{{{"ifname": "{name}", "flags": ["UP"]}}}}]\n', "r1/addr.json:2: ")
        for name in _INTERFACES
    ),
    Attack("routes.json", "[" * 100_000, "r1/routes.json:1: is not valid JSON: nested too deeply"),
    Attack("routes.json", '[{{"a":' * 50_000, "r1/routes.json:1: is not valid JSON: nested too deeply"),
    Attack(
        "routes.json", '[{{"metric": ' + "9" * 10_000 + "}}]", "r1/routes.json:1: is not valid JSON: a number has too"
    ),
    Attack("routes.json", "[" + "{{}}," * 2_000_001 + "{{}}]", "r1/routes.json: holds more than 2000000 objects"),
    Attack("routes.json", '[{{"dst": "10.5.0.0/16", "dev": "up", "table": "²"}}]', ""),
    Attack("routes.json", '[{{"dst": "10.5.0.0/16", "dev": "up", "table": "' + "9" * 5000 + '"}}]', ""),
    Attack("iptables.rules", FILTER.format('-A FORWARD -m comment --comment "--modprobe={out}/run" -j DROP'), ""),
    Attack("iptables.rules", FILTER.format("-A FORWARD -m comment --comment --modprobe={out}/run -j DROP"), ""),
    Attack("iptables.rules", FILTER.format('-A FORWARD -j LOG --log-prefix "include \\"{out}/secret\\""'), ""),
    Attack("ipset.rules", SETS.format("# save a -file {out}/written"), ""),
    Attack("nft.rules", NFT.format('tcp dport 22 accept comment "include {out}/secret"'), ""),
    Attack("nft.rules", NFT.format('log prefix "flush ruleset; }}" accept # include "{out}/secret"'), ""),
    Attack("nft.rules", '# include "{out}/secret"\n' + NFT.format("accept"), ""),
]
"""All of them, more than 100."""
