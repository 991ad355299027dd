"""Catalogue synchronisation: a feed is fetched, planned, and applied, so that a collection follows it."""
