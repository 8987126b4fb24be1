"""What people touch: the HTTP API, the `reachq` command, and `reachq up`, which runs the whole system from one terminal.

    browser, curl ──▶ server ──▶ factory (Flask): auth ──▶ routes ──▶ runs_api, system_api ──┐
                                                           feed, window: live events  ◀──┐   ├──▶ ledger ──▶ Redis
    terminal ──────▶ cli/ ───────────────────────────────────────────────────────────────┴──┘

Requests are judged by ledger.requests alone, so that API and command line refuse the same things in the same words, and
nothing unusable is ever stored. Both show the documents of `documents`; every error of the API is a problem document.

`up`, `supervisor`, `embedded` and `welcome` start the Procfile's processes, and a Redis of their own when none is
named; they restart what dies and leave nothing behind.

It imports the ledger, the lanes and the pure part of netlab; never dispatcher or workers, which it meets in Redis.
"""
