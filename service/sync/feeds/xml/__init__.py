"""Feeds in XML: what expat is told, the documents that it reads, and the items in them."""
