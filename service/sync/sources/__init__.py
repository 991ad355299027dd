"""The configuration of sources: validation, encryption, and the handling of secrets in changes."""
