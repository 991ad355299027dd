"""XML feeds: the configuration of expat, documents, and the items in them."""
