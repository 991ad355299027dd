"""`make bench-guard`: compares processor time per call, search and picture with the last release.

Each cost is divided by that of fixed work, measured in turn with it, so that a slower machine does not count.
"""
