"""Object storage for pictures and models of tenants: encrypted under the tenant's key, accessible by short-lived
links."""
