"""Live updates: the event stream for any number of browsers and programs (SSE)."""
