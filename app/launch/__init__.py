"""`reachq up`: the whole system from one terminal: an embedded Redis, the Procfile's processes, a first answer."""
