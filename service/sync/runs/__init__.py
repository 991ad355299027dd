"""One run of a sync: staging, planning, applying, and who runs it: leases, remote workers, outcomes.

Feeds are parsed in `feeds`. The calls of tenants are in `synchronisation`.
"""
