"""The replica in the kernel. It is built from facts, completely or not at all, and has hosts for detailed runs."""
