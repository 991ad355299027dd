"""What surrounds every call, whatever the transport: who may hold how much of the server."""
