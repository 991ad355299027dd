"""`make bench-index`, `bench-index-life` and `bench-learning`: this index against other engines, and over its life."""
