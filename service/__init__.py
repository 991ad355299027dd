"""The Afterimage service: gRPC in front, pictures forgotten in the middle, the index behind."""
