"""Saved searches: their service, and what they add to a search. Searches are in `service.handlers.search`."""
