"""Catalogue synchronisation: a feed is fetched, planned and applied, so that a collection follows it.

What tenants may ask for is in `synchronisation`, the truth about sources and runs in `ledger`, due times in `schedule`.
"""
