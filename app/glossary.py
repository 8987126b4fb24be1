"""The terms of reachq, which the page /docs/glossary and docs/glossary.md show."""

from __future__ import annotations

WORDS: dict[str, str] = {
    "attempt": (
        "one try by a worker to carry out a run. A run whose worker or bench dies gets another attempt, up to three in total"
    ),
    "bench": (
        "the kernel replica of one network on one host: a network namespace for each router, a bridge for "
        "each segment, owned by one process"
    ),
    "bulk run": (
        "one run with up to 256 quick tests. Bulk runs have workers of their own; each host tests two at the same time"
    ),
    "caveat": "something the answer depends on that the test could not reproduce, such as a rule that counts packets",
    "cell": "one service of one question. A comparison gives each cell a class, such as lost, gained or rerouted",
    "comparison": (
        "the same questions asked in two snapshots, before and after a change. Its report says which cells changed, and why"
    ),
    "detailed test": (
        "a real connection for each service, in both directions, with every matching rule. It runs alone on the bench"
    ),
    "dispatcher": "the process that decides which waiting run starts next. Several may run; one leads",
    "DSCP": "the six-bit field of the IP header (RFC 2474) whose values 32-63 are the lanes",
    "epoch": "the number of a leader's term. It increases with each new leader; commands from an older leader are refused",
    "expectation": (
        "a YAML file that says which cells a change may lose, gain or reroute. Every other change is unexpected"
    ),
    "facts": "the files with the output of each router's own tools, from which the bench is built",
    "facts hash": "identifies the content of the facts; a result names the hash of the facts that were tested",
    "fence": (
        "a number that grows with each lease of a lane. The bench refuses a lower fence than it has seen, so "
        "an abandoned attempt cannot continue"
    ),
    "forward path, return path": "the routers from source to destination, and from destination to source",
    "hit": "one answer that was decided by a rule. The network pages show the hits of each rule",
    "lane": (
        "one DSCP value of one host, leased to one quick or bulk run, that keeps its packets apart from those of up to 31 "
        "others"
    ),
    "leader": "the dispatcher that holds the lock and makes the decisions",
    "lease": (
        "the right of an attempt to its slot and lane. The worker renews it; when it expires the run returns "
        "to the queue"
    ),
    "management flow": (
        "a question that every comparison of a network asks, so that a change does not lock out its administrators"
    ),
    "network": "a set of routers with its own snapshots, queue, lanes and workers. An installation can have several",
    "overtaking": (
        "while other quick tests are running, a limited number of quick tests may, for a limited time, start ahead of "
        "an older detailed test"
    ),
    "paused, drained": (
        "running tests finish and no new ones start until an admin resumes it. A network is paused; a host (a machine "
        "with a bench and workers) is drained"
    ),
    "presets": "names for services, such as `https` for 443/tcp",
    "promote": "give a waiting run a slot, a lane, a lease and a worker",
    "quick test": "sends one packet for each service into every router on the forward path. Up to 32 run in parallel",
    "reap": "take back a run whose lease has expired",
    "result": "the document that describes the answer of a run: verdict, services, routers, rules, caveats",
    "run": "one submitted test, or many in a bulk run: source, destination, services, mode, state and result",
    "segment": "a subnet that routers (and hosts) share; one bridge on the bench",
    "service": "protocol and port, `443/tcp`, or `icmp`",
    "snapshot": (
        "the facts of a network at one time, stored in Redis and identified by the facts hash. It never changes. Runs "
        "are tested on the current one"
    ),
    "token": "for an attempt: the secret with which its worker writes the result. For a user: the secret for the API",
    "verdict": "YES (allowed), NO (blocked) or UNKNOWN (could not be determined; the reason is given)",
    "what-if": (
        "a comparison of the current snapshot with a copy in which one file was edited on the page. It is never made current"
    ),
    "worker": "a process that carries out runs: 32 for quick tests, one for detailed tests and two for bulk runs",
}
"""{term: meaning}, in alphabetical order. A meaning may contain `code`."""
