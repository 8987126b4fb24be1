"""The 32 lanes: each packet of a quick run has the run's own DSCP value, 32-63, which isolates it from up to 31 others.

- `dscp.lanes`: the values that are lanes, and a lane as the ledger records it.
- `dscp.tos`: how a DSCP value is encoded in the IP header (RFC 2474), for code that builds or reads packets.
- `dscp.pool`: which lanes of a bench are free, which run holds each of the others, and whether the pool is consistent.

`promote.lua` leases a lane, and `finish.lua`, `cancel.lua` and `reap.lua` return it. This always happens in the same
step that changes the run's state, so no lane can be lost or leased twice: the two Redis sets `…:dscp:free` and
`…:dscp:leased` together always contain exactly 32-63. Each lease has a fence, a number that only increases. The bench
refuses a fence lower than one that the lane has already seen, so an attempt that has lost its lease cannot send packets
again.

The values 32-63 are the upper half of the 64 code points. Real networks use some of them (CS4-CS7, EF, AF4x). That does
no harm on the bench, because the routers there never see the mark (see the documents on the bench).
"""
