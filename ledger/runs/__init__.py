"""Runs: from the request to the end of the record.

    requests ──▶ submitting ──▶ waiting, fair_order ──▶ dispatching (promote) ──▶ working (begin, renew, finish)
                                                                          └──▶ reaping (attempts that were lost)

`run` has the states and their transitions, `run_hash` the record as Redis stores it, `reading` and `searching` what
others see of it; `soundness` and `repair` find damaged records and set them aside. How a run ends: `working.finish`
──▶ lua/runs/finish.lua.
"""
