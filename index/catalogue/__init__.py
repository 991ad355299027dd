"""Which collections a tenant has, and what may be done with them."""
