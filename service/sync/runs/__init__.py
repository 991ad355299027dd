"""One run of a sync: stage, plan, apply, and who runs it: leases, remote workers, outcomes.

What a feed says is read in `feeds`; what tenants may ask for is in `synchronisation`.
"""
