"""Erasing for good, with a receipt, and looking for what may be left."""
