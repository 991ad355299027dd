"""The HTTP port: the API, metrics, health, and links to stored pictures.

A new page of the HTTP port goes here, the API in JSON is in `service.web.api`. What surrounds a call belongs in
`service.calls`.
"""
