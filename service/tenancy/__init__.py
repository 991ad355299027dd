"""Tenants, their data keys, API keys, quotas, access by consent, and the registry that lists them."""
