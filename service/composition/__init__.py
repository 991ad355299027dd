"""Builds a server from its settings: the composition root.

`data_directory` opens what lies on the disk, `parts` makes single parts of the settings, `server` puts them together
and `run` starts and stops the whole. Each part gets all that it needs when it is made, so a part is made after those
that it uses: registry, coordinator, engine, logs and stores, calls, doors, lifecycle. Nothing is set on a part later.

What a part does belongs into its own room; here stands only who gets what.
"""
