"""The configuration of a source: checks before it is registered, how it is sealed, which secrets survive a change."""
