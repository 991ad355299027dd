"""Afterimage: the API (`afterimage.v1`) and its client (`afterimage.client`)."""

__version__ = "0.1.0"
