"""`afterimage top`: what a running server does, from its metrics.

`metrics_page` reads them, `figures` makes rates and percentiles of two readings, `screen` shows these, `top` is the
command. A new figure goes to `figures`, and its place to `screen`.
"""
