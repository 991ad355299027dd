"""Models of tenants' own: labelled pictures, a projection fitted on top of an encoder, and the encoder made of it.

One tenant's data never trains a model that serves another tenant.
"""
