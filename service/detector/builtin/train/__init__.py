"""Trains the built-in detector on drawn scenes. Needs PyTorch; nothing here runs in the service."""
