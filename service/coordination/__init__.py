"""Redis: where processes of one deployment find each other. Wiping it costs time, never data."""
