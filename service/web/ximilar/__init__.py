"""Ximilar's API for similarity search, below `/ximilar/`: a face of several calls of `service.calls`.

`door` receives requests, `routes` finds the handler of a path, `exchange` makes the calls of one request, `answers`
writes responses and errors. `names`, `records` and `mongo_filter` translate fields, records and filters. The handlers
are in modules by group: `searching`, `ranking`, `changing`, `listing`, `recognition`, `account`. Nothing here opens
its own way to the engine.
"""
