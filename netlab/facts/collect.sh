#!/bin/sh
# Saves the facts of this router for reachq, and makes one archive of them: ROUTER.tar.gz in the current folder.
# It only reads. Run it as root on each router:   sh collect.sh [ROUTER]
# It stops at the first command that fails.
set -eu
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin
router=${1:-$(hostname | cut -d. -f1)}
fail() { echo "collect: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
[ "$(id -u)" = 0 ] || fail "run this as root; otherwise the firewall rules cannot be read"
have ip || fail '`ip` (iproute2) is not installed'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
facts=$work/$router
mkdir "$facts"
save() { # save FILE COMMAND…
    file=$1
    shift
    "$@" >"$facts/$file" 2>"$work/errors" || fail "\`$*\` failed: $(cat "$work/errors")"
}

save addr.json ip -d -j addr
save routes.json ip -d -j route show table all
save rules.json ip -j rule
if ip -j netconf >/dev/null 2>&1; then save netconf.json ip -j netconf; fi # an old iproute2 does not print it as JSON

# Both variants of iptables can be in use at once. The other one is asked only when the kernel has its tables.
if have iptables-save; then
    save iptables.rules iptables-save
    case $(iptables-save -V 2>/dev/null || true) in
    *nf_tables*) if [ -s /proc/net/ip_tables_names ] && have iptables-legacy-save; then
            save iptables-legacy.rules iptables-legacy-save
        fi ;;
    *) if have iptables-nft-save && have nft && nft list tables ip 2>/dev/null | grep -Eq ' (filter|nat|mangle|raw|security)$'; then
            mv "$facts/iptables.rules" "$facts/iptables-legacy.rules"
            save iptables.rules iptables-nft-save
        fi ;;
    esac
fi
if have ipset; then save ipset.rules ipset save; fi
if have nft; then save nft.rules nft -s -y list ruleset; fi
if have wg; then save wireguard.txt wg show all allowed-ips; fi
{
    echo "collected as root on $(date -u +%Y-%m-%dT%H:%M:%SZ) by collect.sh"
    uname -sr
    for tool in "ip -V" "iptables-save -V" "nft --version" "ipset --version"; do $tool 2>/dev/null || true; done
} >"$facts/collected.txt"
tar -C "$work" -czf "$router.tar.gz" "$router"
echo "collect: wrote $router.tar.gz; on the machine with reachq: tar -C NETWORK -xzf $router.tar.gz && reachq facts check NETWORK" >&2
