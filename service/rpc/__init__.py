"""gRPC: servicers, the guard around every call, and the one mapping from errors to statuses."""
