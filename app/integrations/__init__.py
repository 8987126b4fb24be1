"""What stands beside reachq: rq-dashboard, Prometheus."""
