"""Tenants' own models: labelled pictures, a projection fitted on top of an encoder, and the resulting encoder.

One tenant's data never trains a model that serves another tenant.
"""
