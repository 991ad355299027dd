"""What disks do to a collection: power cuts, worked out from a recording of all writes, and errors of each call."""
