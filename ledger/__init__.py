"""The shared record in Redis: runs and their states, the queue, leases, users, and the event stream.

The app, the dispatchers and the workers communicate only through this record. No other package issues a Redis command.
All keys are defined in `ledger.redis.keys`. They have plain Redis types and text values, and times are in ms on Redis's
clock.

The guarantees, and how they are kept:

- **One script, one step.** Every change of state is one Lua file in `ledger/lua/`, named after its verb, which
  validates before it writes (Lua does not roll back) and returns a named status. So a process that dies at any point
  leaves no half-done step. `ledger.runs.run.TRANSITIONS` is the table of states, which docs/states.md shows as a diagram.
- **Scripts enforce the invariants**, not key expiry or the caller: a detailed run runs alone, at most 32 quick runs run at
  once with one lane each, every run is in exactly one place, with one live attempt and one accepted answer.
  `promote.lua` checks them again, whatever the dispatcher chose.
- **Idempotent where a repeat is possible**: submitting by run id, an attempt by its token, leadership by its epoch. The
  client itself never repeats a command.
- **A lost attempt keeps its place**: `reap.lua` puts the run back in its old place, near the front of the line.
- **One user's flood does not delay the others**: the line holds up to 32 runs of each user (`ledger.runs.fair_order`);
  the user's other runs move into it as the earlier ones leave.
- **A full store** (maxmemory) refuses new runs and promotions, but running ones finish (`allow-oom`). RQ's own workers
  need memory to take a job, so a promotion would have no effect.
- **Many pending runs cost nothing extra.** Promotion, submission, cancelling and views cost the same with a thousand
  as with a million: the line holds at most 32 runs of each user with waiting runs, and the surplus is in sorted sets.

| folder | contains |
|---|---|
| `redis/` | the connection, the scripts as typed operations, the keys, access rights, whether the server is suitable |
| `runs/` | what a user may ask, a run's record and states, the waiting lines, promotion, attempts, repair, RQ's key layout |
| `people/` | users, sessions, API tokens, the audit trail |
| `bench/` | health, status, metrics counts, and the operator's control: pause, resume, restart |
| `lua/` | the scripts, one operation a file, in the same four folders |

`ledger.store.Ledger` has all operations. `ledger.events` is the event stream, which wakes dispatchers and keeps
browsers up to date. Only `ledger.redis.rq_layout` depends on the layout of RQ's keys.

The scripts build the names of the keys of runs and lanes from prefixes, so they need a single Redis server and do not
work on a cluster.
"""
