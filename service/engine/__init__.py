"""What the calls do: pictures in, vectors stored, neighbours out. Knows neither gRPC nor HTTP."""
