"""`make bench-calls`: processor time of the server for a call, beside a servicer that returns the same bytes.

A servicer of grpc.aio without any other code costs what anything costs that is served through gRPC from Python. The
ratio to it says what this service adds: keys, limits, audit, metrics, the log, and the search itself.
"""
