"""The 32 lanes: one DSCP value, 32-63, on every packet of one quick run isolates it from up to 31 others.

- `dscp.lanes`: the values that are lanes, and a lane as the ledger records it.
- `dscp.tos`: how a DSCP value is encoded in the IP header (RFC 2474), for code that builds or reads packets.
- `dscp.pool`: which lanes of a bench are free, which run holds each of the others, and whether the pool is intact.

`promote.lua` leases a lane; `finish.lua`, `cancel.lua` and `reap.lua` return it, always in the step that changes the
run's state, so none can be lost or leased twice: `…:dscp:free` and `…:dscp:leased` (two Redis sets) together always
contain exactly 32-63. Each lease has a fence, a number that only grows; the bench refuses a lower one than the lane has
seen, so an attempt that was given up cannot send packets again.

The values 32-63 are the upper half of the 64 code points. Real networks use some of them (CS4-CS7, EF, AF4x): on the
bench that does no harm, since a router there never sees the mark (see docs on the bench).
"""
