"""Packet formats: probe frames with their cookie, and the ICMP errors of a router. Pure."""
