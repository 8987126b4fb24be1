"""What people touch: pages, the HTTP API, the `reachq` command, and `reachq up`, which runs the whole system.

    browser ──▶ http/ ──▶ factory (Flask): people/ (guard) ──▶ web/ (pages) ───────┐
    curl ─────▶ server                                    ├──▶ api/ (documents) ──┼──▶ ledger ──▶ Redis
                                                          └──▶ live/ (SSE)        │
    terminal ──────▶ cli/ ────────────────────────────────────────────────────────┘

Requests are judged by ledger.runs.requests alone, so that pages, API and command line refuse the same things in the same
words, and nothing unusable is ever stored. API and command line show the documents of `api.documents`; every error of
the API is a problem document.

`launch/` starts the Procfile's processes, and a Redis of their own when none is named; it restarts what dies and leaves
nothing behind. `neighbours/` holds what stands beside: rq-dashboard and the metrics.

It imports the ledger, the lanes and the pure part of netlab; never dispatcher or workers, which it meets in Redis.
"""
