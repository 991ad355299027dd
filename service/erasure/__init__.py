"""Permanent erasure of records, collections and training sets, with receipts, and the search for traces."""
