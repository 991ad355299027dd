"""Beside searches: saved ones with their service, counts by day, and maps of records.

Searches themselves are in `service.handlers.search`.
"""
