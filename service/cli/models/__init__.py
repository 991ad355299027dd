"""Commands on encoders and on tenants' own models."""
