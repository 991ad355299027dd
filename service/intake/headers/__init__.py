"""Header readers for each format, in plain Python. They run before any codec sees the picture."""
