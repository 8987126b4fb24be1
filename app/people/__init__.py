"""Authentication and permissions: users, roles, sessions, API tokens, and the guard that protects every address."""
