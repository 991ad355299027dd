"""Idempotency keys: a call that creates or starts something is made once, however often it is sent with its key.

`keyed_call` decides what a repetition gets. `rebuilding` has a row for each method whose answer can be read again
after a crash. What is kept of a call with a key is in `service.audit.keys`, in the transactions of the audit log.
"""
