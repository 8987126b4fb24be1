"""What changed between two snapshots of a network, by router and rule. Pure.

The input is the stored text of the files, not NetworkFacts: the reader leaves out what the bench does not need (MTUs,
IPv6, the rules of a VRF), but the facts hash covers it. Equal hashes mean no changes, and the reverse.

    compare: `changes`, the function to call     document: its result, and the summary in one line
    sequences: the comparison of two lists       json_files, iptables, ipset, nft, lines: what each file contains
"""
