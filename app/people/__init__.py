"""Authentication and permissions: users and their roles, sessions, API tokens, and the guard in front of every address."""
