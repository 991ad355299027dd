"""Drawn shop photographs, easy and hard ones, and catalogue pictures as an encoder sees them: what is assumed before
real ones came.

`draw` draws them, `samples` keeps their vectors, and `python -m service.encoder.drawn` makes the file of the built-in
encoder. Their distances calibrate the first scores of a collection. Nothing of a tenant is in them, and nothing that a
tenant's collection learned belongs here.
"""
