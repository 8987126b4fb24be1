"""The impact of a change: the same questions in the snapshot before and the one after, compared cell by cell. Pure.

    answers before ──▶ compare ──▶ Impact (document) ──▶ selection ──▶ sections ──▶ markdown, app.cli.impact_text
    answers after  ──▶                   │                        └───────────────▶ table (CSV)
    facts changes  ──▶                   └──▶ judgement ◀── expectation ◀── change.yaml

A cell is one service of one question. Each cell has one class:

    before   after
    YES      NO        lost
    NO       YES       gained
    one of them UNKNOWN: undetermined. It is neither lost, nor gained, nor the same
    UNKNOWN  UNKNOWN   the same if the reason and the path are the same, otherwise undetermined
    YES      YES       the same if the path is the same, otherwise rerouted
    NO       NO        the same if the same rule of the same router blocks it first, otherwise other-rule

Rules are compared by what they say and where in the chains they are, not by their number or line: a rule that is
inserted above them changes both. For the same reason, line numbers in reasons and caveats do not count.

What else differs in a cell of class `same` is noted: the caveats, the path to the same blocking rule, or the routers
that would block the packet after the first one. Caveats belong to a question, so all its cells have the same ones.

The impact covers only the questions that were asked. It does not prove that a change has no effect on other packets.
"""
