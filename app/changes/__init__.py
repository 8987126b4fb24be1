"""The impact of a change: asks the same questions in two snapshots, and reports the difference."""
