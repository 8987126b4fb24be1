"""The facts: the output of each router's own tools, read and checked before any tool of this machine gets it. Pure.

    folder ──▶ reader (RouterFacts, NetworkFacts) ──▶ ip_batch: the lines that `ip -batch` reads
                 └─ dumps/: the allow lists for the output of dumping tools

`json_lines` records the line number of every object, so that errors can name it. `json_types` has the type of each
field.
"""
