"""What an encoder is: the seam between the service and whatever makes vectors.

An encoder is one class with these methods and one entry in `kinds.py`; a folder with a manifest that names the kind
makes it available. Whoever calls an encoder knows no more of it than this page says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from index import Region
from service.encoder.manifest import Manifest

Vector = NDArray[np.float32]


class Modality(StrEnum):
    """What an input shows, and so what it is made of."""

    IMAGE = "image"  # a tensor as the manifest's `input` describes it, without the dimension of the batch
    TEXT = "text"  # a str; its vector may be zero where the encoder makes nothing of it


@dataclass(frozen=True, slots=True)
class Embedding:
    """vector: float32, shape (dimension,), of length 1. input: number of the input that it is of. region: the part of
    a picture that it is of, in shares of its sides; None: all of the input."""

    vector: Vector
    input: int
    region: Region | None = None


class UnsupportedModality(ValueError):
    """The encoder takes no inputs of this modality."""


class Encoder(Protocol):
    """Makes vectors of inputs. Any number of threads may call any method at once. An encoder remembers nothing of its
    inputs: the vectors of an input are the same whatever came before it, and whatever is encoded beside it, up to the
    rounding of float32."""

    @property
    def manifest(self) -> Manifest:
        """What the encoder is. Never waits."""

    @property
    def modalities(self) -> frozenset[Modality]:
        """What it takes. Never waits."""

    def encode(self, inputs: Sequence[Any], modality: Modality) -> list[Embedding]:
        """The embeddings of all inputs, in order of the inputs; of one input at least one, the first of the whole.

        May take long, and waits where it computes elsewhere: it is called from a thread. Raises UnsupportedModality
        for a modality that is not among `modalities`, ValueError where a vector is not finite, and OSError or
        TimeoutError where what it needs is away. An error is of all inputs of the call, leaves the encoder as it was,
        and is no reason to call it again with the same inputs.
        """

    def trial(self, count: int) -> list[Any]:
        """So many inputs of its first modality that show nothing in particular, to measure the encoder with."""


def encode_each(encoder: Encoder, inputs: Sequence[Any], modality: Modality) -> list[list[Embedding]]:
    """The embeddings of each input. Raises as `Encoder.encode` does, and RuntimeError where the encoder breaks its
    contract: an input without an embedding, or a wrong order."""
    found: list[list[Embedding]] = [[] for _ in inputs]
    last = 0
    for embedding in encoder.encode(inputs, modality):
        if not last <= embedding.input < len(found):
            raise RuntimeError(f"encoder {encoder.manifest.id} returned embeddings out of order")
        last = embedding.input
        found[last].append(embedding)
    if not all(found):
        raise RuntimeError(f"encoder {encoder.manifest.id} returned no embedding of an input")
    return found


def picture_vectors(encoder: Encoder, tensors: Sequence[Any] | NDArray[np.generic]) -> Vector:
    """One vector of each whole picture, shape (n, dimension). Raises as `encode_each` does."""
    return np.stack([each[0].vector for each in encode_each(encoder, list(tensors), Modality.IMAGE)])
