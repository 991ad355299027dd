"""General parts of the process: tasks, child processes, clock, retries, logs, free ports, memory, egress.

Nothing here knows tenants, collections or pictures. What every call needs belongs in `service.calls`.
"""
