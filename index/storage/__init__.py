"""What must exist in a tenant's directory, how that is checked, and how it is mended."""
