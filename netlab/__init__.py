"""The network: facts (pure) → topology (pure) → bench (live): one process that owns a kernel replica of the routers.

Facts are the output of each router's own tools. From them a bench builds, for every router, a network namespace with the
real addresses, routes, policy rules, ipsets and firewall, and a bridge for every segment. A quick run sends one marked
packet for each service into every router of the path, on the interface where the packet would enter, and reads from the
kernel how far it came.

Guarantees:

- Nothing leaks: namespaces are anonymous, held by file descriptors of the one bench process. When it ends, for any
  reason, the network is removed.
- Runs are isolated: a probe packet is recorded and dropped at the very end of the router it was sent into, before conntrack
  confirms it. It leaves no connection, no NAT mapping and no neighbour entry, so no other run can see it.
- The router's own rules see the requested packet: the lane's DSCP is removed before any rule of the router.

| folder | contains |
|---|---|
| `facts/`, `rules/`, `topology/`, `packets/` | pure: files, rules, connections, formats |
| `kernel/` | netlink, namespaces, packet filter, traces, confined tools |
| `live/` | the replica in the kernel |
| `quick/`, `detailed/` | the two kinds of test, each from request to result |
| `service/` | the unix socket: server, client, attempts |

Of reachq's other packages it imports only the lane arithmetic (`dscp`). It needs no Redis, and uses JSON lines on a
unix socket.
"""
