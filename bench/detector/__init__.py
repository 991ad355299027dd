"""Benchmarks of the built-in detector: the boxes that it finds, and what searching by them adds."""
