"""The replica in the kernel: built from facts, all or nothing, with hosts for detailed runs."""
