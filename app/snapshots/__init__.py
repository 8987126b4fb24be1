"""Snapshots for the app: reads a folder or an archive, pushes it, and gives the pages the current facts."""
