"""Saved searches: their service, and what they add to a search. Searches themselves are in `service.handlers.search`."""
