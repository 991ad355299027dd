"""Pictures to tensors in sandboxed processes: the pool of processes, their program, and how they forget."""
