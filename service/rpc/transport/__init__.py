"""What gRPC lacks: certificate reload, closing connections, limits on calls without a key, ending unread calls."""
