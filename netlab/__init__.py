"""The network: facts (pure) → topology (pure) → bench (live): one process that owns a kernel replica of the routers.

Facts are what each router's own tools print. From them a bench builds, for every router, a network namespace with the
real addresses, routes, policy rules, ipsets and firewall, and a bridge for every segment. A quick run sends one marked
packet for each service into every router of the path, on the interface the packet would come in on, and reads from the
kernel how far it got.

What the package promises:

- Nothing leaks: namespaces are anonymous, held by file descriptors of the one bench process. Whatever kills it takes the
  network along.
- Runs do not meet: a probe packet is noted and dropped at the very end of the router it was sent into, before conntrack
  confirms it. It leaves no connection, no NAT mapping and no neighbour entry, so there is nothing a second run could see.
- The router's own rules see the packet that was asked about: the lane's DSCP is taken off before any rule of the router.

| folder | contains |
|---|---|
| `facts/`, `rules/`, `topology/`, `packets/` | pure: files, rules, connections, formats |
| `kernel/` | netlink, namespaces, packet filter, traces, confined tools |
| `live/` | the replica in the kernel |
| `quick/`, `detailed/` | the two kinds of test, each from question to answer |
| `service/` | the unix socket: server, client, attempts |

Of reachq's other packages it imports only the lane arithmetic (`dscp`). It needs no Redis, and speaks JSON lines on a
unix socket.
"""
