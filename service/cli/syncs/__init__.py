"""Commands on catalogue syncs: sources, previews, runs."""
