"""Real servers, workers, shops, object storage and TLS for tests."""
