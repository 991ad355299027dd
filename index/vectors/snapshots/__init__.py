"""Derived snapshots: the rows in memory as encrypted files, so that a start need not read the whole store."""
