"""Snapshots: the facts of a network at one time, stored by their meaning, and which of them is current.

A snapshot is identified by its facts hash and never changes. Each file is stored once, under the hash of its meaning,
regardless of how many snapshots have it. This package does not interpret facts: it stores what `netlab.facts` has read.
"""
