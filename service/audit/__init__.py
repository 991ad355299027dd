"""The audit log of each tenant: a hash chain that cannot be changed unnoticed, its storage, and counted reads.

Which calls are audited, and what an entry says, is decided in the table of calls.
"""
