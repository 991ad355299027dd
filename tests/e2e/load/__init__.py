"""Hostile and heavy clients, and the service to others meanwhile."""
