"""A shop's catalogue drawn by program: about 300 product pictures with attributes, for trying the service out."""
