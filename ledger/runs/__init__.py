"""Runs: from the request to the final record.

    requests ──▶ submitting ──▶ waiting, fair_order ──▶ dispatching (promote) ──▶ working (begin, renew, finish)
                                                                          └──▶ reaping (lost attempts)

`run` has the states and their transitions, `run_hash` the record as Redis stores it, `reading` and `searching` its
readers; `soundness` and `repair` find damaged records and set them aside. A run ends with `working.finish` ──▶
lua/runs/finish.lua.
"""
