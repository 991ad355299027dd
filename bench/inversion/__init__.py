"""`make bench-inversion`: what can be read out of vectors, signatures and maps: pictures, attributes, membership."""
