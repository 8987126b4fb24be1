"""The dispatcher: decides which waiting runs start, on which worker of the bench, and why the others wait.

Any number of dispatchers may run, and one of them leads (`leader`). The leader waits for the event stream (`loop`),
reads a view of the bench, lets the `rules` choose, has the ledger commit the choice (`promoter`), and reaps the runs of
dead workers (`reaper`).

The rules only propose, and Redis decides: `promote.lua` checks every invariant again and refuses a leader whose term is
over. So a stale view, a bug in the rules or two leaders at once can do no more than delay a run. A dispatcher keeps
nothing that the next leader would need: the order, the overtake counts and the reasons are in Redis, in the lines and
the records of the runs.
"""
