"""Stage B: trains the head on procedural pairs. Needs PyTorch; nothing here runs in the service."""
