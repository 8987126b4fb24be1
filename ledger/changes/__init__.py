"""Comparisons of two snapshots: the same questions asked in both, and what is needed to report the difference."""
