"""HTTP itself: the server, problem documents, strict JSON. Knows nothing of runs."""
