"""Runs: from the request to the final record.

    requests ──▶ submitting ──▶ waiting, fair_order ──▶ dispatching (promote) ──▶ working (begin, renew, finish)
                                                                          └──▶ reaping (lost attempts)

`run` defines the states and their transitions, and `run_hash` the record as Redis stores it. `reading` and `searching`
read records; `soundness` and `repair` find damaged ones and set them aside. A run ends with `working.finish`, which
calls lua/runs/finish.lua.
"""
