"""Live updates: the event stream (SSE) for any number of browsers and programs."""
