"""Rows of one collection in memory: the writer's side (`rows`), the immutable view of readers, and what a hit shows."""
