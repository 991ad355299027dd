"""Attributes of the rows in memory, arranged by value, so that a filter becomes a set of rows.

A new type of attribute goes here; a new operator goes to `index.vectors.filters`.
"""
