"""The matches and targets of iptables, with the options that `iptables-save` prints for them. Pure.

Source: iptables-extensions(8). The sign after an option says what follows the option: no sign nothing, `=` one word,
`==` two words, `?` one word or none, `~` free text, `%` a name that can become a file name under /proc, `@` addresses
but never host names.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache

Options = dict[str, str]
"""Option -> one of the kinds below."""

FLAG, VALUE, PAIR, OPTIONAL, ANY_TEXT, NAME, ADDRESS = "", "=", "==", "?", "~", "%", "@"

VERDICTS = frozenset("ACCEPT DROP RETURN QUEUE".split())

REFUSED = {
    "--object-pinned": "opens a file of this machine (a pinned BPF program)",
    "--path": "names a control group of this machine",
    "LED": "creates an LED trigger on this machine and does not affect any verdict: remove the rule",
    "IDLETIMER": "creates a timer in this machine's /sys and does not affect any verdict: remove the rule",
    "AUDIT": "writes to this machine's audit log and does not affect any verdict: remove the rule",
    "--modprobe": "names a program to run",
    "-M": "names a program to run",
}
"""Extension or option -> why a rule that has it is refused although `iptables-save` prints it."""

_PORTS = "--sport= --dport= --source-port= --destination-port="
_ENDS = "--ctorigsrc@ --ctorigdst@ --ctreplsrc@ --ctrepldst@"
_NAT = "--random --random-fully --persistent"

_MATCHES = {
    "addrtype": "--src-type= --dst-type= --limit-iface-in --limit-iface-out",
    "ah": "--ahspi=",
    "bpf": "--bytecode=",
    "cgroup": "--cgroup=",
    "cluster": "--cluster-total-nodes= --cluster-local-node= --cluster-local-nodemask= --cluster-hash-seed=",
    "comment": "--comment~",
    "connbytes": "--connbytes= --connbytes-dir= --connbytes-mode=",
    "connlabel": "--label% --set",
    "connlimit": "--connlimit-upto= --connlimit-above= --connlimit-mask= --connlimit-saddr --connlimit-daddr",
    "connmark": "--mark=",
    "conntrack": f"--ctstate= --ctproto= {_ENDS} --ctorigsrcport= --ctorigdstport= --ctreplsrcport= --ctrepldstport= "
    "--ctstatus= --ctexpire= --ctdir=",
    "cpu": "--cpu=",
    "dccp": f"{_PORTS} --dccp-types= --dccp-option=",
    "devgroup": "--src-group= --dst-group=",
    "dscp": "--dscp= --dscp-class=",
    "ecn": "--ecn-tcp-cwr --ecn-tcp-ece --ecn-ip-ect=",
    "esp": "--espspi=",
    "geoip": "--src-cc% --dst-cc% --source-country% --destination-country%",
    "hashlimit": "--hashlimit-upto= --hashlimit-above= --hashlimit= --hashlimit-burst= --hashlimit-mode= "
    "--hashlimit-srcmask= --hashlimit-dstmask= --hashlimit-name% --hashlimit-htable-size= --hashlimit-htable-max= "
    "--hashlimit-htable-expire= --hashlimit-htable-gcinterval= --hashlimit-rate-match --hashlimit-rate-interval=",
    "helper": "--helper%",
    "icmp": "--icmp-type=",
    "ipcomp": "--ipcompspi= --compres",
    "iprange": "--src-range@ --dst-range@",
    "ipvs": "--ipvs --vproto= --vaddr@ --vport= --vdir= --vmethod= --vportctl=",
    "length": "--length=",
    "limit": "--limit= --limit-burst=",
    "mac": "--mac-source=",
    "mark": "--mark=",
    "multiport": "--sports= --dports= --ports= --source-ports= --destination-ports=",
    "nfacct": "--nfacct-name%",
    "osf": "--genre= --ttl= --log=",
    "owner": "--uid-owner= --gid-owner= --suppl-groups --socket-exists",
    "physdev": "--physdev-in% --physdev-out% --physdev-is-in --physdev-is-out --physdev-is-bridged",
    "pkttype": "--pkt-type=",
    "policy": "--dir= --pol= --strict --reqid= --spi= --proto= --mode= --tunnel-src@ --tunnel-dst@ --next",
    "quota": "--quota=",
    "rateest": "--rateest-delta --rateest-lt --rateest-gt --rateest-eq --rateest% --rateest1% --rateest2% --rateest-bps? "
    "--rateest-pps? --rateest-bps1? --rateest-bps2? --rateest-pps1? --rateest-pps2?",
    "realm": "--realm=",
    "recent": "--name% --set --rcheck --update --remove --seconds= --reap --hitcount= --rttl --mask@ --rsource --rdest",
    "rpfilter": "--loose --validmark --accept-local --invert",
    "sctp": f"{_PORTS} --chunk-types==",
    "set": "--match-set== --return-nomatch --update-counters --update-subcounters --packets-eq= --packets-lt= "
    "--packets-gt= --bytes-eq= --bytes-lt= --bytes-gt=",
    "socket": "--transparent --nowildcard --restore-skmark",
    "state": "--state=",
    "statistic": "--mode= --probability= --every= --packet=",
    "string": "--algo= --from= --to= --string~ --hex-string~ --icase",
    "tcp": f"{_PORTS} --tcp-flags== --syn --tcp-option=",
    "tcpmss": "--mss=",
    "time": "--datestart= --datestop= --timestart= --timestop= --monthdays= --weekdays= --contiguous --kerneltz "
    "--utc --localtz",
    "tos": "--tos=",
    "ttl": "--ttl-eq= --ttl-gt= --ttl-lt= --ttl=",
    "u32": "--u32=",
    "udp": _PORTS,
    "udplite": _PORTS,
    "unclean": "",
}
_TARGETS = {
    "CHECKSUM": "--checksum-fill",
    "CLASSIFY": "--set-class=",
    "CLUSTERIP": "--new --hashmode= --clustermac= --total-nodes= --local-node= --hash-init=",
    "CONNMARK": "--set-xmark= --set-mark= --and-mark= --or-mark= --xor-mark= --save-mark --restore-mark --mask= --nfmask= "
    "--ctmask= --left-shift-mark= --right-shift-mark=",
    "CONNSECMARK": "--save --restore",
    "CT": "--notrack --helper% --ctevents= --expevents= --zone= --zone-orig= --zone-reply= --timeout%",
    "DNAT": f"--to-destination= {_NAT}",
    "DSCP": "--set-dscp= --set-dscp-class=",
    "ECN": "--ecn-tcp-remove --ecn-tcp-cwr= --ecn-tcp-ece= --ecn-ip-ect=",
    "HMARK": "--hmark-tuple= --hmark-mod= --hmark-offset= --hmark-src-prefix@ --hmark-dst-prefix@ --hmark-sport-mask= "
    "--hmark-dport-mask= --hmark-sport= --hmark-dport= --hmark-spi-mask= --hmark-spi= --hmark-proto-mask= --hmark-rnd=",
    "LOG": "--log-level= --log-prefix~ --log-tcp-sequence --log-tcp-options --log-ip-options --log-uid --log-macdecode",
    "MARK": "--set-xmark= --set-mark= --and-mark= --or-mark= --xor-mark=",
    "MASQUERADE": f"--to-ports= {_NAT}",
    "NETMAP": "--to@",
    "NFLOG": "--nflog-group= --nflog-prefix~ --nflog-range= --nflog-size= --nflog-threshold=",
    "NFQUEUE": "--queue-num= --queue-balance= --queue-bypass --queue-cpu-fanout",
    "NOTRACK": "",
    "RATEEST": "--rateest-name% --rateest-interval= --rateest-ewmalog=",
    "REDIRECT": f"--to-ports= {_NAT}",
    "REJECT": "--reject-with=",
    "SECMARK": "--selctx=",
    "SET": "--add-set== --del-set== --map-set== --timeout= --exist --map-mark --map-prio --map-queue",
    "SNAT": f"--to-source= {_NAT}",
    "SYNPROXY": "--mss= --wscale= --sack-perm --timestamp --ecn",
    "TCPMSS": "--set-mss= --clamp-mss-to-pmtu",
    "TCPOPTSTRIP": "--strip-options=",
    "TEE": "--gateway@ --oif%",
    "TOS": "--set-tos= --and-tos= --or-tos= --xor-tos=",
    "TPROXY": "--on-port= --on-ip@ --tproxy-mark=",
    "TRACE": "",
    "TTL": "--ttl-set= --ttl-dec= --ttl-inc=",
}


def _table(spelled: dict[str, str]) -> dict[str, Options]:
    table: dict[str, Options] = {}
    for name, line in spelled.items():
        options = table.setdefault(name, {})
        for word in line.split():
            option = word.rstrip("=~%@?")
            options[option] = word[len(option) :]
    return table


MATCHES, TARGETS = _table(_MATCHES), _table(_TARGETS)
"""Name of a match or target -> its options."""

SILENT_TARGETS = frozenset("ACCOUNT FLOWOFFLOAD IMQ LOGMARK NETFLOW ULOG".split())
"""Targets of xtables-addons, OpenWrt and old kernels that log or count: the packet continues unchanged."""
LACKING_TARGETS = frozenset(
    "CHAOS DELUDE DHCPMAC DNETMAP ECHO IPMARK IPV4OPTSSTRIP MIRROR PROTO RAWDNAT RAWNAT RAWSNAT ROUTE SAME SYSRQ TARPIT"
    " XOR".split()
)
"""Other targets of xtables-addons and of old kernels. They can change or stop the packet."""
_NAMES = (*VERDICTS, *TARGETS, *LACKING_TARGETS, *SILENT_TARGETS)
_SIMILAR = 0.8
"""How similar a name must be to a target's name to be a misspelling of it (difflib's ratio, 0 to 1)."""


@lru_cache(maxsize=4096)
def never_loaded(target: str) -> bool:
    """Whether a rule with this target is loaded without it, because no current kernel has it, or it is misspelled.

    Its options are therefore not checked. `target` must not be a chain of its table.
    """
    if target in TARGETS or target in VERDICTS or target in REFUSED or not target.isascii():
        return False
    if target in LACKING_TARGETS or target in SILENT_TARGETS:
        return True
    return target.isalnum() and target.isupper() and bool(get_close_matches(target, _NAMES, 1, _SIMILAR))
