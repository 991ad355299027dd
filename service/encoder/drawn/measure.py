"""The vectors that an encoder gives drawn products."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from service.encoder.contract import Encoder, picture_vectors
from service.encoder.drawn.draw import draw_hard, draw_products
from service.encoder.drawn.samples import DrawnSamples
from service.encoder.preprocess import to_tensor

FORMS = 200
Progress = Callable[[Sequence[int]], Iterable[int]]


def measured(encoder: Encoder, forms: int = FORMS, progress: Progress = iter) -> DrawnSamples:
    """The vectors of drawn products, three pictures each, of two products of each form. `progress` wraps the numbers of
    the forms, which are gone through once. Takes about 60 ms of a core for each picture with the built-in encoder."""
    spec, catalogue, photographs, hard = encoder.manifest.input, [], [], []
    for form in progress(range(forms)):
        drawn = list(draw_products(1, form))
        catalogue.append(picture_vectors(encoder, [to_tensor(p.catalogue, spec) for p in drawn]))
        photographs.append(picture_vectors(encoder, [to_tensor(p.photograph, spec) for p in drawn]))
        hard.append(picture_vectors(encoder, [to_tensor(p, spec) for p in draw_hard(1, form)]))
    sides = (np.concatenate(side).astype(np.float32) for side in (catalogue, photographs, hard))
    return DrawnSamples(*(v / np.linalg.norm(v, axis=1, keepdims=True) for v in sides))
