"""One module for each gRPC service: from a request to a call of the engine, and from its answer to a response.

A new RPC gets its handler here. What surrounds every call belongs in `service.calls` and `service.rpc.guard`.
"""
