"""PostgreSQL for tests: a server, and a gate before it that cuts connections."""
