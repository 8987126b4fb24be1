"""Integrations: rq-dashboard, Prometheus."""
