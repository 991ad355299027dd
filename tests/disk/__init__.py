"""Disk faults in collections: power cuts, simulated from a recording of all writes, and errors of each system call."""
