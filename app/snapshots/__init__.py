"""Pushes snapshots: reads a folder or an archive, stores it in the ledger, and waits until a host has checked it."""
