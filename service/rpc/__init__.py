"""gRPC: the server, its transport, conversion of messages, and the mapping of errors to statuses."""
