"""General parts of the process: background tasks, clock, retries, logs, free ports, protection of memory, egress.

Nothing here knows tenants, collections or pictures. What every call needs belongs in `service.calls`.
"""
