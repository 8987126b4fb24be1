"""The facts hash: it is equal for two captures of an unchanged router, and different after any change. Pure.

Each module takes the text or the entries of one kind of file, and returns what they mean, as bytes that are only hashed.
Left out is what changes without a change of the router: counters, times, the comments of the tool that printed the
file, identifiers that the kernel chooses, and the order of things that have no order.

    files: FactsHash, which combines the files of a network     iproute: `ip -j`, netconf
    iptables: iptables-save     ipset: ipset save     nft: nft list ruleset     lines: files of independent lines
"""
