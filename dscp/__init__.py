"""The 32 lanes: one DSCP value, 32-63, on every packet of one quick run keeps it apart from up to 31 others.

- `dscp.tos`: how a DSCP value stands in the IP header (RFC 2474), for whoever builds or reads packets.
- `dscp.pool`: which lanes of a bench are free, who holds the others, and whether the pool is whole.

A lane is lent by `promote.lua` and taken back by `finish.lua`, `cancel.lua` and `reap.lua`, always in the step that
changes the run's state, so none can be lost or lent twice: `…:dscp:free` and `…:dscp:leased` (two Redis sets) are
together always exactly 32-63. Each lending has a fence, a number that only grows; the bench refuses a lower
one than the lane has seen, so an attempt that was given up cannot come back to life on the wire.

The values 32-63 are the upper half of the 64 code points. Real networks use some of them (CS4-CS7, EF, AF4x): on the
bench that does no harm, since a router there never sees the mark (see docs on the bench).
"""
