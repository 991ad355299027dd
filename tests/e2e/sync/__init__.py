"""Syncs against real servers, shops and Redis."""
