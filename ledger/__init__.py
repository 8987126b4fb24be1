"""The one shared record, in Redis: runs and their states, who waits, who holds what, and everything that happened.

App, dispatchers and workers never speak to each other; they meet here. Nothing else issues a Redis command, and
all keys are spelled, typed and described in `ledger.redis.keys`: plain types, texts, times in ms on Redis's clock.

How it keeps its promises:

- **One script, one step.** Every change of state is one Lua file in `ledger/lua/`, named after its verb, which
  validates first and writes after (Lua does not roll back) and answers with a named status. So whoever dies, and
  wherever, leaves no half-done step. `ledger.runs.run.TRANSITIONS` is the table of states; docs/states.md draws it.
- **Invariants live in scripts**, not in expiry or in the caller: a detailed run alone, at most 32 quick ones, a
  lane each, every run in exactly one place, one live attempt and one accepted answer. `promote.lua` re-checks them
  whatever the dispatcher chose.
- **Idempotent where a repeat is possible**: submit by run id, an attempt by its token, leadership by its epoch. The
  client itself never repeats a command.
- **A run's way back is short**: `reap.lua` puts a lost attempt on its old place, near the front of the line.
- **One user's flood does not delay the others**: the line holds up to 32 runs of each user (`ledger.runs.fair_order`);
  the others move up into it as the user's earlier ones leave.
- **A full store** (maxmemory) refuses new runs and promotions; what runs goes on and ends (`allow-oom`). RQ's own
  workers need memory to take a job, so promoting then would help nobody.
- **Pending runs may be many.** Promotion, submission, cancelling and views cost the same with a thousand as with a
  million: the line is as long as 32 runs of each user that waits, and the surplus is sorted sets.

| folder | contains |
|---|---|
| `redis/` | the connection, the scripts as typed operations, the keys, access rights, whether the server is suitable |
| `runs/` | what a user may ask, a run's record and states, the waiting lines, promotion, attempts, repair, RQ's key layout |
| `people/` | users, sessions, API tokens, the audit trail |
| `bench/` | health, status, metrics counts, and the operator's control: pause, resume, restart |
| `lua/` | the scripts, one operation a file, in the same four folders |

`ledger.store.Ledger` has all operations. `ledger.events` is the stream of everything that happened: it wakes dispatchers
and feeds browsers. `ledger.redis.rq_layout` alone knows how RQ lays out its keys.

The scripts build the names of a run's and a lane's keys from prefixes, so they need one Redis, not a cluster.
"""
