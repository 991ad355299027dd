"""Which rows lie within a distance of each other: of each row those that come later.

Few rows are compared each with each. Of more, signatures are compared, a hundredth of the work, and then the vectors of
those whose signatures allow for it: as many standard deviations are allowed for that fewer than one pair in a thousand
is missed. Where signatures pass over too little, since the distance is large, a block of rows is compared with all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from index.vectors.ann.faiss_index import RowNumbers, Scores, differing_bits_of_each
from index.vectors.ann.signatures import SignatureEncoder, Signatures
from index.vectors.segment.view import View

COMPARED_ROWS = 4096  # of so few each is compared with each
_BLOCK, _SAMPLE, _COMPARED_SKETCHES = 64, 16_384, 4096
_SPREADS = 1.75  # times what a search allows for
_MOST_SHARE = 8  # where more than one of so many rows might be near, all are compared

Near = tuple[int, NDArray[np.int64], Scores]  # a place, places after it, and their distances


def near_pairs(view: View, slots: RowNumbers, max_distance: float) -> Iterator[Near]:
    """Each place in `slots` with the later places whose rows lie within the distance, if there are any."""
    signature_rows = _signature_rows(view, slots) if len(slots) > COMPARED_ROWS else None
    for start in range(0, len(slots), _BLOCK):
        block = view.originals(slots[start : start + _BLOCK])
        if signature_rows is None:
            yield from _compared(view, slots, start, block, max_distance)
        else:
            yield from _by_signatures(view, slots, start, block, max_distance, *signature_rows)


def _signature_rows(view: View, slots: RowNumbers) -> tuple[SignatureEncoder, Signatures]:
    """Signatures of the rows as the encoder made them: the view's own, where they are of those."""
    if view.ann_index is None or view.transform is not None:
        sampled = slots[:: max(1, len(slots) // _SAMPLE)]
        signature_encoder, known = SignatureEncoder.of_sample(view.originals(sampled)), np.zeros(len(slots), np.bool_)
    else:
        signature_encoder, known = view.ann_index.signature_encoder, slots < view.last_rows
    signatures = np.empty((len(slots), view.signatures.shape[1]), np.uint8)
    signatures[known] = view.signatures[slots[known]]
    unknown = np.flatnonzero(~known)
    for start in range(0, len(unknown), _SAMPLE):
        some = unknown[start : start + _SAMPLE]
        signatures[some] = signature_encoder.rows(view.originals(slots[some]))
    return signature_encoder, signatures


def _compared(
    view: View, slots: RowNumbers, start: int, block: NDArray[np.float32], max_distance: float
) -> Iterator[Near]:
    """The block with each row from its start on."""
    near: list[list[NDArray[np.int64]]] = [[] for _ in block]
    apart: list[list[Scores]] = [[] for _ in block]
    for first in range(start, len(slots), _SAMPLE):
        distances = block @ view.originals(slots[first : first + _SAMPLE]).T
        np.subtract(1.0, distances, out=distances)
        for number, row in enumerate(distances):
            after = max(0, start + number + 1 - first)
            places = np.flatnonzero(row[after:] <= max_distance) + after
            near[number].append(places + first)
            apart[number].append(row[places])
    for number in range(len(block)):
        found = np.concatenate(near[number])
        if len(found):
            yield start + number, found, np.maximum(np.concatenate(apart[number]), 0.0)


def _by_signatures(
    view: View,
    slots: RowNumbers,
    start: int,
    block: NDArray[np.float32],
    max_distance: float,
    signature_encoder: SignatureEncoder,
    signatures: Signatures,
) -> Iterator[Near]:
    """The block with those rows from its start on whose signatures allow for it."""
    within = np.array([signature_encoder.within(row, 1.0 - max_distance, spreads=_SPREADS) for row in block], np.int32)
    rows, places = [], []
    most = len(block) * (len(slots) - start) // _MOST_SHARE
    for first in range(start, len(slots), _COMPARED_SKETCHES):  # as many as the processor's cache holds
        differing = differing_bits_of_each(
            signatures[start : start + len(block)], signatures[first : first + _COMPARED_SKETCHES]
        )
        allowed = np.flatnonzero(differing <= within[:, None])
        most -= len(allowed)
        if most < 0:
            yield from _compared(view, slots, start, block, max_distance)
            return
        rows.append(allowed // differing.shape[1])
        places.append(allowed % differing.shape[1] + first)
    of_row, place = np.concatenate(rows), np.concatenate(places)
    order = np.argsort(of_row, kind="stable")
    place, ends = place[order], np.searchsorted(of_row[order], np.arange(len(block) + 1))
    for number, row in enumerate(block):
        later = place[ends[number] : ends[number + 1]]
        later = later[later > start + number]
        if len(later):
            distances = np.maximum(1.0 - view.originals(slots[later]) @ row, 0.0).astype(np.float32)
            near = distances <= max_distance
            if near.any():
                yield start + number, later[near], distances[near]
