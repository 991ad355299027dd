"""`make bench-pictures` and `bench-decoding`: what serving and decoding pictures costs."""
