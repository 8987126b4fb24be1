"""Many questions at once: reads rows of text, divides them into runs, submits these, and collects the answers by row.

    text ──▶ rows ──▶ planned runs ──▶ ledger ──▶ answered rows

The page `/many`, the API and `reachq submit --file` all use it. Rows in mode quick become bulk runs of up to 256 questions,
and each row in mode detailed becomes a run of its own.
"""
