"""A quick run: one probe per service into every router of the path, on the forward path only.

flow (Question, Flow, Step) ──▶ walk ──▶ prober: inject, observe ──▶ explain (the rule behind a NO) ──▶ answer
"""
