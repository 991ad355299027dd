"""Between gRPC and the calls: connections, certificates, calls without a key, and calls whose peer does not read."""
