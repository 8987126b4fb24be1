"""Users, their sessions and API tokens, and the audit trail of what they did."""
