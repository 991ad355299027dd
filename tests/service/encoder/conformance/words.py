"""A small encoder of texts and an encoder that finds several regions: what a new kind looks like."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from index import Region
from service.encoder.contract import Embedding, Encoder, Modality, UnsupportedModality, Vector
from service.encoder.manifest import Manifest


class WordEncoder:
    """A text's vector is the sum of vectors of its words."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest, self.modalities = manifest, frozenset({Modality.TEXT})

    def encode(self, inputs: Sequence[Any], modality: Modality) -> list[Embedding]:
        if modality not in self.modalities:
            raise UnsupportedModality(f"encoder {self.manifest.id} takes no {modality}")
        return [Embedding(self._vector(text), number) for number, text in enumerate(inputs)]

    def trial(self, count: int) -> list[Any]:
        return ["a red shoe"] * count

    def _vector(self, text: str) -> Vector:
        dimension = self.manifest.output.dimension
        seeds = [int.from_bytes(hashlib.sha256(w.encode()).digest()[:8]) for w in text.lower().split()]
        total = sum((np.random.default_rng(s).normal(size=dimension) for s in seeds), np.zeros(dimension))
        vector: Vector = (total / max(float(np.linalg.norm(total)), 1e-12)).astype(np.float32)
        return vector


class HalvesEncoder:
    """The whole of a picture, and its left and right half."""

    def __init__(self, whole: Encoder) -> None:
        self._whole = whole
        self.manifest, self.modalities = whole.manifest, whole.modalities

    def encode(self, inputs: Sequence[Any], modality: Modality) -> list[Embedding]:
        found = []
        for number, whole in enumerate(self._whole.encode(inputs, modality)):
            left, right = Region(0, 0, 0.5, 1), Region(0.5, 0, 0.5, 1)
            mirrored: Vector = whole.vector[::-1].copy()
            found += [whole, Embedding(mirrored, number, left), Embedding(-mirrored, number, right)]
        return found

    def trial(self, count: int) -> list[Any]:
        return self._whole.trial(count)
