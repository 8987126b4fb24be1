"""The command `reachq up` runs the whole system: an embedded Redis, the Procfile's processes, and a first result."""
