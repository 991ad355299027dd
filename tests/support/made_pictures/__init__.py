"""Pictures written by hand, byte by byte, so that what they show is known without any decoder."""
