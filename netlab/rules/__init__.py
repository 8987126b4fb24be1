"""The firewall rules as text: where each is written, whether it can match a packet, what its verdict depends on. Pure.

saved firewall ──▶ native_tables ──▶ rulebook (rules by the kernel's handle) ──▶ decisions (from a kernel trace)
                                └──▶ conditions ──▶ caveats (rules whose verdict depends on more than one packet)
"""
