"""What the audit log of a tenant records of each call.

`rule` says what a rule is, `rules` has those of the table of methods, and `reads` those of counted reads. A new method
that changes something gets its rule in `rules`. How a call is recorded is in `service.calls.recording`.
"""
