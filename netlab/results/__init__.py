"""The result of a run: one typed document, written by the bench and read by all other parts. Pure.

    quick/answer, detailed/answer ──▶ document.Result ──codec──▶ worker ──▶ Redis ──codec──▶ pages, CLI, API, CSV
                                                          └─ hits: the rules that decided, the first blocker

The OpenAPI document is generated from the same classes.
"""
