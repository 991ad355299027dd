"""`make bench-encoder` and `bench-own-model`: what encoders find."""
