"""The facts: what each router's own tools print, read and checked before a tool sees it. Pure.

    folder ──▶ reader (RouterFacts, NetworkFacts) ──▶ ip_batch: the lines `ip -batch` reads
                 └─ dumps/: which text counts as the output of a dumping tool, and nothing else

`json_lines` keeps the line of every object, so an error can name it; `json_types` names the type of each field.
"""
