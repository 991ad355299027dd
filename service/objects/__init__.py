"""Object storage for what a tenant wants kept: sealed under its own key, handed out as links of an hour at most."""
