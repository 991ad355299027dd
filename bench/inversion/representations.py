"""What an attacker may hold of a picture: its vector, its vector in int8, its binary signature, its place on a map."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.vectors.ann.signatures import SignatureEncoder
from service.projection.layout import project

VECTOR, INT8, SIGNATURE, MAP = "vector", "int8 vector", "signature", "place on a map"
COMPARABLE = (VECTOR, INT8, SIGNATURE)  # those in which a new picture can be compared with the stored ones
_LARGEST_INT8, _MAP_SEED = 127, 3
Floats = NDArray[np.float32]


class Places(NamedTuple):
    """One map of pictures that the attacker knows and of those that he does not: float32 (n, 2) each."""

    known: Floats
    unknown: Floats


def represented(vectors: Floats, kind: str, signatures: SignatureEncoder) -> Floats:
    """Vectors of length 1, shape (n, d), as an attacker reads them, shape (n, d) or (n, BITS), of length 1.

    - VECTOR: half precision, as the index keeps rows in memory.
    - INT8: one scale for each vector. The service stores none; other engines do.
    - SIGNATURE: the bits as -1 and 1. The attacker knows the collection's mean, as it lies beside the signatures.

    Raises KeyError for another kind.
    """
    if kind == VECTOR:
        return vectors.astype(np.float16).astype(np.float32)
    if kind == INT8:
        return unit(quantised(vectors).astype(np.float32))
    if kind == SIGNATURE:
        bits = np.unpackbits(signatures.rows(vectors), axis=1, bitorder="little")
        return unit(bits.astype(np.float32) * 2 - 1)
    raise KeyError(kind)


def quantised(vectors: Floats) -> NDArray[np.int8]:
    """Vectors in int8, the largest number of each as 127 or -127."""
    largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-12)
    return np.rint(vectors * (_LARGEST_INT8 / largest)).astype(np.int8)


def map_of(known: Floats, unknown: Floats) -> Places:
    """The map (`records map`) of a collection in which the attacker knows some of the pictures."""
    points = project(np.concatenate([known, unknown]), _MAP_SEED).points
    return Places(points[: len(known)], points[len(known) :])


def unit(vectors: NDArray[np.floating]) -> Floats:
    """At length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)
