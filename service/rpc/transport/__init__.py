"""Between gRPC and the calls: how messages are read, answers sent, connections kept, and streams ended."""
