"""The facts: the output of each router's own tools, read and checked before any tool gets it. Pure.

    folder ──▶ reader (RouterFacts, NetworkFacts) ──▶ ip_batch: the lines that `ip -batch` reads
                 └─ dumps/: the allow lists for the output of dumping tools

`json_lines` keeps the line of every object, so an error can name it; `json_types` has the type of each field.
"""
