"""The `afterimage` command: entry point, connection to a server, output, progress, exit codes.

The commands themselves are in the folders below, one module each. A new command is listed in `main`.
"""
