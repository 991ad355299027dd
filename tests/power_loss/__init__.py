"""Power cuts: what a disk may hold after one is worked out from a recording of all writes, and opened."""
