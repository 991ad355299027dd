"""Catalogue synchronisation: fetches a feed, plans the changes and applies them to a collection.

The calls of tenants are in `synchronisation`, sources and runs in `ledger`, due times in `schedule`.
"""
