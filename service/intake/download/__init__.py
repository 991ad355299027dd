"""Downloads from URLs that callers give: strict URLs, checked addresses, per-host limits, HTTP.

What is done with the bytes belongs elsewhere: nothing here knows pictures or feeds.
"""
