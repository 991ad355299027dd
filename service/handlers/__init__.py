"""One module for each service of the API: from a request to the engine's work, and from its result to a response.

A new RPC gets its handler here and its row in `service.calls.methods`. Handlers know neither gRPC nor HTTP: they take a
request and return a response, or an iterator of them, and raise ServiceError. What surrounds every call belongs in
`service.calls`.
"""
