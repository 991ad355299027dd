"""Trains the network of the built-in encoder on drawn views. Needs PyTorch; nothing here runs in the service."""
