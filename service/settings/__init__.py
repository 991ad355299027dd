"""The settings of a server: their types and defaults, how they must fit together, and addresses in them.

A new setting goes to `model`. `service.config` collects values from flags, the environment and the settings file.
"""
