"""Filters: text in the style of AIP-160 that says which records a search or a list may return. See docs/filters.md."""
