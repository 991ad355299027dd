"""What a record and a vector must be before they are stored or searched with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from index.types.attributes import check_attributes, check_id, check_region
from index.types.errors import InvalidInput
from index.types.record import RecordWrite, Vector

_SHORTEST = 1e-12
_EASY = 1e-9  # squared lengths between this and its inverse lose nothing in single precision
_UNIT = 1e-6  # a squared length that differs from 1 by less is 1: single precision tells no more of hundreds of numbers
_SINGLE = np.dtype(np.float32)


def check_record(write: RecordWrite) -> None:
    """Raises InvalidInput where a field of the record, its vector left aside, breaks a rule."""
    check_id("record_id", write.record_id)
    check_id("product_id", write.product_id, empty_allowed=True)
    check_attributes(write.attributes)
    check_region(write.region)


def normalised(field: str, vector: Vector, dimension: int) -> Vector:
    """The vector with length 1, float32; itself where it is so already. Raises InvalidInput unless it has the
    dimension, is finite and not zero."""
    if vector.shape != (dimension,):
        raise InvalidInput(field, f"the vector has {vector.size} dimensions; the collection has {dimension}")
    squared = float(np.vdot(vector, vector))  # unlike `dot` it warns of no length beyond single precision: see below
    if -_UNIT < squared - 1.0 < _UNIT and vector.dtype == _SINGLE and vector.flags.c_contiguous:
        return vector
    if not _EASY < squared < 1 / _EASY:  # false for NaN too
        vector, squared = vector.astype(np.float64), _squared_length(field, vector)
    return np.ascontiguousarray(vector / math.sqrt(squared), np.float32)


def all_normalised(vectors: Sequence[Vector], dimension: int) -> list[Vector | InvalidInput]:
    """As `normalised`, for many vectors of records at once; the error in the place of a vector that breaks a rule."""
    whole = all(v.shape == (dimension,) for v in vectors)
    if whole and vectors:
        stacked = np.stack(vectors).astype(np.float32, copy=False)
        with np.errstate(over="ignore"):
            squared = np.einsum("ij,ij->i", stacked, stacked)
        if squared.min() > _EASY and squared.max() < 1 / _EASY:
            return list(stacked / np.sqrt(squared)[:, None])
    return [_or_error(v, dimension) for v in vectors]


def _or_error(vector: Vector, dimension: int) -> Vector | InvalidInput:
    try:
        return normalised("vector", vector, dimension)
    except InvalidInput as error:
        return error


def _squared_length(field: str, vector: Vector) -> float:
    if not np.isfinite(vector).all():
        raise InvalidInput(field, "the vector contains a number that is not finite")
    squared = float(np.linalg.norm(vector.astype(np.float64))) ** 2
    if squared < _SHORTEST**2:
        raise InvalidInput(field, f"the norm of the vector is below {_SHORTEST:g}, so it has no direction")
    return squared
