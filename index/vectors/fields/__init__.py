"""Attributes of the rows in memory, arranged by value, so that a filter becomes a set of rows.

A new type of attribute goes here, and a new comparison operator to the table in `operators`.
"""
