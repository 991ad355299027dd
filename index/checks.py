"""What a record and a vector must be before they are stored or searched with."""

from __future__ import annotations

import numpy as np

from index.attributes import check_attributes, check_id, check_region
from index.errors import InvalidInput
from index.model import RecordWrite, Vector

_SHORTEST = 1e-12


def check_record(write: RecordWrite) -> None:
    """Raises InvalidInput where a field of the record, its vector left aside, breaks a rule."""
    check_id("record_id", write.record_id)
    check_id("product_id", write.product_id, empty_allowed=True)
    check_attributes(write.attributes)
    check_region(write.region)


def normalised(field: str, vector: Vector, dimension: int) -> Vector:
    """The vector with length 1, float32. Raises InvalidInput unless it has the dimension, is finite and not zero."""
    if vector.shape != (dimension,):
        raise InvalidInput(field, f"the vector has {vector.size} numbers; the collection takes {dimension}")
    if not np.isfinite(vector).all():
        raise InvalidInput(field, "the vector holds a number that is not finite")
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if norm < _SHORTEST:
        raise InvalidInput(field, "the vector is all zero")
    return (vector / norm).astype(np.float32)
