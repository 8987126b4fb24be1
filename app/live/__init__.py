"""What happens, as it happens: the event stream to any number of browsers and programs (SSE)."""
