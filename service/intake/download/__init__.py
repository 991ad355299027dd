"""Downloads from URLs that callers give: strict URLs, checked addresses, per-host limits, HTTP.

Nothing here knows pictures or feeds. What happens to the bytes belongs elsewhere.
"""
