"""Afterimage: the API (`afterimage.v1`) and its client (`afterimage.client`)."""
