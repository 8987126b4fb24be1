"""The worker pool of one bench: takes promoted runs from RQ's queues, has the bench test them, and stores the results.

    pool ──fork──▶ 32 + 1 workers, each: main thread   worker ──▶ jobs.run ──▶ the test ──unix──▶ bench
      │                                   heartbeat     renews the lease, announces the worker, aborts the test
      └────fork──▶ reporter: the bench's status ──▶ ledger

| module | is |
|---|---|
| `serve` | what a pool is made of and what one worker process does |
| `pool`, `children` | supervision: fork from a preloaded parent, restart, stop; no child outlives the pool |
| `claim` | a queue of its own for each worker process |
| `worker` | RQ's SimpleWorker, trimmed: one queue, one permitted job |
| `jobs` | one run processed: begin, test, then finish, fail or give back |
| `attempt`, `heartbeat` | the lease of the current run, and everything that ends a test early |
| `bench_tests` | the real tests, quick and detailed, over the bench's socket |
| `bulk` | the test of a bulk run: all its questions in one attempt |
| `reporter` | the bench's status |

Guarantees: only one attempt at a time can begin a run. An attempt that has lost its lease cannot change anything,
neither in Redis (its token is no longer valid) nor on the bench (its fence is too low, and its connection is closed). A
worker that dies is replaced, and when a pool dies, all its processes end. The data of a run is in its record in the
ledger, and RQ carries only its id.
"""
