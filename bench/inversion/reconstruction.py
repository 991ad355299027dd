"""Reconstruction: pictures made from what is stored of others, and how like these they are. Needs PyTorch.

The attacker has drawn pictures of his own and encoded them, which anyone can who has the encoder. What he makes is
compared with the originals in pixels. It is also looked for: whether the encoder finds the original of it in the whole
collection, and whether pixels alone find it among the originals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from bench.encoders.packs import Encode
from bench.inversion.attributes import neighbours
from bench.inversion.decoder import SIDE, Components, Decoder, Training, train
from bench.inversion.measures import found_among, psnr, ssim
from bench.inversion.representations import INT8, MAP, SIGNATURE, VECTOR, Floats, Places, represented
from index.vectors.ann.signatures import SignatureEncoder
from service.encoder.alterations import Picture

MEAN, NEAREST = "mean picture", "nearest of the attacker's"
_BLENDED = 8  # known pictures that are nearest on the map
Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Attacker:
    """What the attacker has: pictures, uint8 (n, SIDE, SIDE, 3), and their vectors, shape (n, d)."""

    pictures: Pictures
    vectors: Floats
    signatures: SignatureEncoder
    decoders: Mapping[str, Decoder]

    def from_vectors(self, vectors: Floats) -> dict[str, Pictures]:
        """Pictures by representation, and what the attacker could show without a decoder."""
        mean = np.rint(self.pictures.mean(axis=0)).astype(np.uint8)
        made = {MEAN: np.repeat(mean[None], len(vectors), axis=0)}
        made[NEAREST] = self.pictures[(vectors @ self.vectors.T).argmax(axis=1)]
        for kind, trained in ((VECTOR, VECTOR), (INT8, VECTOR), (SIGNATURE, SIGNATURE)):
            made[kind] = self.decoders[trained](represented(vectors, kind, self.signatures))
        return made

    def from_places(self, places: Places) -> dict[str, Pictures]:
        """Pictures by their place on a map on which the attacker knows the first of his own: the mean of the nearest
        ones."""
        near = neighbours(places.known, places.unknown, _BLENDED)
        return {MAP: np.rint(self.pictures[near].mean(axis=1)).astype(np.uint8)}


def attacker_with(
    pictures: Pictures, vectors: Floats, signatures: SignatureEncoder, components: Components, training: Training
) -> Attacker:
    """Trains a decoder of vectors, which serves vectors in int8 too, and one of signatures. Shows a bar."""
    decoders = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for kind in (VECTOR, SIGNATURE):
            task = progress.add_task(f"training: {kind}", total=training.epochs + training.sharpened)
            features = represented(vectors, kind, signatures)
            decoders[kind] = train(features, pictures, components, training, lambda t=task: progress.advance(t))  # type: ignore[misc]
    return Attacker(pictures, vectors, signatures, decoders)


def compared(
    made: Mapping[str, Pictures], originals: Pictures, collection: Floats, encode: Encode
) -> dict[str, dict[str, float]]:
    """How like the originals pictures are, by representation: means of PSNR in dB and of SSIM, and the shares, in per
    cent, whose original comes first, and is among ten, when `encode` looks for it in its `collection`, and when pixels
    do among the originals. The first of the collection are the originals, (n, SIDE, SIDE, 3)."""
    return {kind: _compared(pictures, originals, collection, encode) for kind, pictures in made.items()}


def _compared(made: Pictures, originals: Pictures, collection: Floats, encode: Encode) -> dict[str, float]:
    found = {
        "psnr": round(float(psnr(made, originals).mean()), 2),
        "ssim": round(float(ssim(made, originals).mean()), 3),
    }
    pixels = [p.reshape(len(p), -1).astype(np.float32) for p in (made, originals)]
    for name, (asked, all_of_them) in {"encoder": (encode(list(made)), collection), "pixels": tuple(pixels)}.items():
        found |= {f"{name} R@{k}": round(100 * found_among(asked, all_of_them, k), 1) for k in (1, 10)}
    return found


def reduced(pictures: list[Picture]) -> Pictures:
    """Pictures of any size at SIDE."""
    small: Callable[[Picture], object] = lambda p: cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA)  # noqa: E731
    return np.stack([np.asarray(small(p), np.uint8) for p in pictures])
