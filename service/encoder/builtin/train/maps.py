"""Scattering maps of drawn pairs, reduced by a fixed linear map, in shards on disk from which a later run resumes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.formula import INPUT, map_model, prepared
from service.encoder.builtin.generator.pairs import Relation, draw_pair
from service.encoder.builtin.train.reduction import Reduction
from service.encoder.session import load_model

SHARD = 500
Half = NDArray[np.float16]


@dataclass(frozen=True)
class MapPairs:
    """fine: float16 (pairs, 2, channels, 12, 12); coarse: float16 (pairs, 2, channels, 6, 6); kinds: int64 (pairs,)."""

    fine: Half
    coarse: Half
    kinds: NDArray[np.int64]


def raw_maps(relation: Relation, start: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32], list[int]]:
    """The unreduced maps of pairs from `start` on, first pictures before second ones, and the kinds."""
    cv2.setNumThreads(1)
    pairs = [draw_pair(number, relation) for number in range(start, start + count)]
    pixels = np.stack([prepared(p.first) for p in pairs] + [prepared(p.second) for p in pairs])
    parts = [_session().run(["fine", "coarse"], {INPUT.name: pixels[i : i + 32]}) for i in range(0, len(pixels), 32)]
    fine, coarse = (np.concatenate([p[i] for p in parts]) for i in (0, 1))
    return fine, coarse, [p.kind for p in pairs]


def write_shards(folder: Path, relation: Relation, pairs: int, reduction: Reduction) -> Iterator[int]:
    """Writes the missing shards on all cores. Yields the number of pairs as they are finished."""
    wanted = range(0, pairs, SHARD)
    missing = [start for start in wanted if not _shard(folder, relation, start).exists()]
    yield SHARD * (len(wanted) - len(missing))
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(partial(_write_shard, folder, relation, reduction), missing):
            yield SHARD


def read_shards(folder: Path, relation: Relation, pairs: int) -> MapPairs:
    """All pairs of a relation. Raises OSError if a shard is missing."""
    parts = []
    for start in range(0, pairs, SHARD):
        with np.load(_shard(folder, relation, start)) as file:
            parts.append((file["fine"], file["coarse"], file["kinds"]))
    return MapPairs(*(np.concatenate([p[i] for p in parts]) for i in range(3)))


def _write_shard(folder: Path, relation: Relation, reduction: Reduction, start: int) -> None:
    fine, coarse, kinds = raw_maps(relation, start, SHARD)
    reduced = [
        np.stack(np.split(maps, 2), 1).astype(np.float16)
        for maps in (reduction.fine.apply(fine), reduction.coarse.apply(coarse))
    ]
    path = _shard(folder, relation, start)
    unfinished = path.with_suffix(".partial")
    with unfinished.open("wb") as file:
        np.savez(file, fine=reduced[0], coarse=reduced[1], kinds=np.array(kinds))
    os.replace(unfinished, path)


def _shard(folder: Path, relation: Relation, start: int) -> Path:
    return folder / f"{relation}-{start:07d}.npz"


@cache
def _session():  # type: ignore[no-untyped-def]
    return load_model(map_model().SerializeToString(), threads=1)
