"""Drawn shop photographs and catalogue pictures as an encoder sees them: what is assumed before real ones came.

`draw` draws them, `samples` keeps their vectors, and `python -m service.encoder.drawn` makes the file of the built-in
encoder. Their means centre the first searches of a collection, and their distances calibrate its first scores. Nothing
of a tenant is in them, and nothing that a tenant's collection learned belongs here.
"""
