"""Interpretation of cells: names of fields, prices, links, attributes."""
