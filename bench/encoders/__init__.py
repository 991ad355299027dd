"""`make bench-encoder` and `bench-own-model`: retrieval quality of encoders."""
