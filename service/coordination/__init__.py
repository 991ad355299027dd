"""Redis: leases, run board, rate limits, and the embedded server. Losing Redis costs time, never data.

No other room speaks to Redis. Every key and its format is in `keys`.
"""
