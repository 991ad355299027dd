"""The API as JSON over HTTP: a face of `service.calls` beside gRPC, for every call of tenants.

`paths` has a row for each RPC: its friendly path. Every RPC also has the path of Connect's unary protocol. `door`
receives a request, `call` adapts it to `CallContext`, `bodies` and `requests` turn what was sent into messages,
`responses` and `errors` write what comes of it. A picture sent as bytes stays in memory: nothing here parses forms
by spooling them. What surrounds a call belongs in `service.calls`, what it does in `service.handlers`.
"""
