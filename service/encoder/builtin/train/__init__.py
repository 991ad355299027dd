"""Stage B: the head is trained on procedural pairs. Needs PyTorch; nothing here runs in the service."""
