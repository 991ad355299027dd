"""`make bench-index`, `bench-index-life` and `bench-learning`: this index beside other engines, and over its life."""
