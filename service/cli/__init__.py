"""The `afterimage` command."""
