"""The firewall rules as text: where each is written, which packets it can match, what its verdict depends on. Pure.

iptables-save text, nft list ruleset text ──▶ saved_firewall (the one parser)
saved_firewall ──▶ native_tables (the native part of nft.rules)
              └──▶ counting_matches, lacking_parts ──▶ loaded_rules (what the bench loads)
              └──▶ rulebook (rules by the kernel's handle) ──▶ decisions (from a kernel trace)
              └──▶ conditions ──▶ caveats (rules whose verdict depends on more than one packet)
"""
