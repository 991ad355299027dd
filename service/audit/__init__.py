"""The audit log of each tenant: a tamper-evident hash chain, its storage, and counted reads.

The table of calls decides which calls are audited, and what an entry contains.
"""
