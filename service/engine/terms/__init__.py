"""Terms of a query that are neither a picture nor a record: from what a caller wrote to a vector.

A new kind of term gets a module here, its field in `service.engine.query.QueryTerm` and its conversion in
`service.handlers.conversion`.
"""
