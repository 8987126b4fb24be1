"""The user interfaces: pages, the HTTP API, the `reachq` command, and `reachq up`, which runs the whole system.

    browser ──▶ http/ ──▶ factory (Flask): people/ (guard) ──▶ web/ (pages) ───────┐
    curl ─────▶ server                                    ├──▶ api/ (documents) ──┼──▶ ledger ──▶ Redis
                                                          └──▶ live/ (SSE)        │
    terminal ──────▶ cli/ ────────────────────────────────────────────────────────┘

Only ledger.runs.requests validates requests, so the pages, the API and the command line reject the same input with the
same text, and no invalid request is stored. The API and the command line show the documents of `api.documents`. Every
error of the API is a problem document.

`launch/` starts the Procfile's processes, and an embedded Redis if no other is configured. It restarts processes that
die and leaves none behind. `integrations/` contains rq-dashboard and the metrics.

The package imports the ledger, the lanes and the pure part of netlab, but neither the dispatcher nor the workers,
because it communicates with those through Redis.
"""
