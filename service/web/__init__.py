"""The HTTP port: metrics, health, and links to stored pictures.

A new path of the HTTP port goes here. What surrounds a call belongs in `service.calls`.
"""
