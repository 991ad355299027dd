"""What the calls do: ingest and query, picture encoding, change detection, stored pictures and their links.

Knows neither gRPC nor HTTP. A new policy for pictures goes here.
"""
