"""Integrations with other software: rq-dashboard and Prometheus."""
