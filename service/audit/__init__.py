"""What was done with a tenant, told so that it cannot be changed unseen."""
