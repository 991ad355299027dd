"""gRPC: the server, its transport limits, TLS, health, and the adapter of its calls to `service.calls`."""
