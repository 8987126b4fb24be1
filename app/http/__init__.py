"""HTTP itself: the server, problem documents, and strict JSON. It does not depend on runs."""
