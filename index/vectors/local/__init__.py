"""The vector index of this process: rows in memory, an ANN index over most of them, snapshots of both on disk.

It implements `index.contract.VectorIndex`. How rows are compared belongs in `query`, how they lie in `segment`.
"""

from index.vectors.local.local_index import LocalVectorIndex, LocalVectorIndexes

__all__ = ["LocalVectorIndex", "LocalVectorIndexes"]
