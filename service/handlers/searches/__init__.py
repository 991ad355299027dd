"""Searches: `running` takes them from their requests to their responses. Beside them saved ones with their service,
counts by day, and maps of records.

The calls are in `service.handlers.search`.
"""
