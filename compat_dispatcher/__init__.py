"""The dispatcher: decides which waiting runs start, on which bench worker, and why the others wait.

Any number of dispatchers run; one leads (`leader`). The leader blocks on the event stream (`loop`), views the bench,
lets the `rules` choose, has the ledger commit the choice (`promoter`), and reaps the runs of dead workers (`reaper`).

The rules propose, Redis decides: `promote.lua` checks every invariant again, and refuses a leader whose term is over.
So a stale view, a bug in the rules or two leaders at once cost a run some time at most. A dispatcher keeps nothing that
the next leader would need: order, overtake counts and reasons are in the runs' records.
"""
