"""Hostile and heavy clients, and what others have of the server meanwhile."""
