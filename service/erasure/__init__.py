"""Erasing records, collections and training sets for good, with a receipt, and searching for what may be left."""
