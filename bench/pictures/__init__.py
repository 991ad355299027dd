"""`make bench-pictures` and `bench-decoding`: the cost of serving and decoding pictures."""
