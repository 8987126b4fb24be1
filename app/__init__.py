"""The user interfaces: pages, the HTTP API, the `reachq` command, and `reachq up`, which runs the whole system.

    browser ──▶ http/ ──▶ factory (Flask): people/ (guard) ──▶ web/ (pages) ───────┐
    curl ─────▶ server                                    ├──▶ api/ (documents) ──┼──▶ ledger ──▶ Redis
                                                          └──▶ live/ (SSE)        │
    terminal ──────▶ cli/ ────────────────────────────────────────────────────────┘

Only ledger.runs.requests validates requests, so pages, API and command line reject the same input with the same text,
and no invalid request is stored. API and command line show the documents of `api.documents`; every error of the API is
a problem document.

`launch/` starts the Procfile's processes, and an embedded Redis when no other is configured; it restarts processes that
die and leaves none behind. `integrations/` has rq-dashboard and the metrics.

It imports the ledger, the lanes and the pure part of netlab, but neither dispatcher nor workers: it communicates with
them through Redis.
"""
