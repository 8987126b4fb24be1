"""The shared record in Redis: runs and their states, the queue, leases, users, and the event stream.

App, dispatchers and workers communicate only through this record. No other package issues a Redis command, and all
keys are defined in `ledger.redis.keys`: plain types, text values, times in ms on Redis's clock.

Guarantees, and how they are kept:

- **One script, one step.** Every change of state is one Lua file in `ledger/lua/`, named after its verb, which
  validates before it writes (Lua does not roll back) and returns a named status. So a process that dies at any point
  leaves no half-done step. `ledger.runs.run.TRANSITIONS` is the table of states; docs/states.md draws it.
- **Scripts enforce the invariants**, not expiry or the caller: a detailed run runs alone, at most 32 quick runs run at
  once with one lane each, every run is in exactly one place, with one live attempt and one accepted answer.
  `promote.lua` checks them again, whatever the dispatcher chose.
- **Idempotent where a repeat is possible**: submit by run id, an attempt by its token, leadership by its epoch. The
  client itself never repeats a command.
- **A lost attempt keeps its place**: `reap.lua` puts the run back on its old place, near the front of the line.
- **One user's flood does not delay the others**: the line holds up to 32 runs of each user (`ledger.runs.fair_order`);
  the others move up into it as the user's earlier ones leave.
- **A full store** (maxmemory) refuses new runs and promotions; running ones finish (`allow-oom`). RQ's own workers
  need memory to take a job, so a promotion would have no effect.
- **Many pending runs cost nothing extra.** Promotion, submission, cancelling and views cost the same with a thousand
  as with a million: the line is as long as 32 runs of each user that waits, and the surplus is in sorted sets.

| folder | contains |
|---|---|
| `redis/` | the connection, the scripts as typed operations, the keys, access rights, whether the server is suitable |
| `runs/` | what a user may ask, a run's record and states, the waiting lines, promotion, attempts, repair, RQ's key layout |
| `people/` | users, sessions, API tokens, the audit trail |
| `bench/` | health, status, metrics counts, and the operator's control: pause, resume, restart |
| `lua/` | the scripts, one operation a file, in the same four folders |

`ledger.store.Ledger` has all operations. `ledger.events` is the event stream: it wakes dispatchers and feeds
browsers. Only `ledger.redis.rq_layout` depends on the layout of RQ's keys.

The scripts build the names of a run's and a lane's keys from prefixes, so they need one Redis, not a cluster.
"""
