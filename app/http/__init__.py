"""HTTP itself: the server, problem documents, strict JSON. Independent of runs."""
