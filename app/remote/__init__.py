"""The HTTP API as the command line uses it from another machine: REACHQ_URL and REACHQ_TOKEN instead of Redis."""
