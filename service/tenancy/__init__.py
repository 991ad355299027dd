"""Tenants, their data keys, and the API keys that name them."""
