"""Reads records of a collection for its tuning: a sample, and the other records of the products in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index import Collection, StoredRecord, Verdict
from service.tuning.weights import Sample

MOST_RECORDS, MOST_QUERIES, MOST_COPIES = 4000, 800, 400
_NAMED_AT_ONCE, _MATES = 40, 400
_MOST_JUDGED = 2000
_SEED = 17
_NEAREST_ROWS = 512


class ReadRecords(NamedTuple):
    """Records with vectors, and the rows among them whose products have further rows. merged: products that people said
    are one, by name, with the name for all of them."""

    records: list[StoredRecord]
    queries: NDArray[np.int64]
    merged: Mapping[str, str] = MappingProxyType({})

    def product_of(self, record: StoredRecord) -> str:
        """The product of a record; empty where it has none."""
        name = _named(record)
        return self.merged.get(name, name if record.product_id else "")


def read_records(collection: Collection) -> ReadRecords:
    """At most about MOST_RECORDS records drawn at random, with others of their products, and those that people said
    are the same product as another. Blocks; raises what reading a collection raises."""
    drawn = collection.sample(MOST_RECORDS, seed=_SEED, vectors=True)
    records = {r.row_id: r for r in drawn}
    if len(drawn) == MOST_RECORDS:
        named = list(dict.fromkeys(r.product_id for r in drawn if r.product_id))[:MOST_QUERIES]
        records |= {r.row_id: r for r in _of_products(collection, named)}
    judged = list(islice(collection.judged_pairs.every(Verdict.SAME_PRODUCT), _MOST_JUDGED))
    ids = sorted({i for pair in judged for i in (pair.record_id, pair.other_record_id)})
    said = collection.get(ids, vectors=True) if ids else {}
    merged = merged_names(
        (_named(said[p.record_id]), _named(said[p.other_record_id]))
        for p in judged
        if p.record_id in said and p.other_record_id in said
    )
    records |= {r.row_id: r for r in said.values()}
    found = sorted(records.values(), key=lambda r: r.row_id)
    read = ReadRecords(found, np.zeros(0, np.int64), merged)
    return read._replace(queries=_with_mates([read.product_of(r) for r in found]))


def _named(record: StoredRecord) -> str:
    return record.product_id or f"\0{record.record_id}"  # no product id begins with this


def merged_names(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One name for all names that pairs connect, by name."""
    root: dict[str, str] = {}

    def top(name: str) -> str:
        while root.setdefault(name, name) != name:
            name = root[name]
        return name

    for one, other in pairs:
        root[top(other)] = top(one)
    return {name: top(name) for name in root}


def _of_products(collection: Collection, product_ids: Sequence[str]) -> Iterable[StoredRecord]:
    for part in _parts(product_ids, _NAMED_AT_ONCE):
        wanted = " OR ".join(f"product_id = {json.dumps(name)}" for name in part)
        if len(wanted.encode()) > 8000:  # ids of kilobytes
            continue
        yield from (r for r in collection.list(0, _MATES, wanted, vectors=True) if r.product_id in part)


def _parts(values: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (values[i : i + size] for i in range(0, len(values), size))


def _with_mates(products: Sequence[str]) -> NDArray[np.int64]:
    """At most MOST_QUERIES rows of products with two or more records, drawn at random: as many products as can be."""
    by_product: dict[str, list[int]] = {}
    for row, product in enumerate(products):
        if product:
            by_product.setdefault(product, []).append(row)
    rng = np.random.default_rng(_SEED)
    groups = [rng.permutation(rows).tolist() for rows in by_product.values() if len(rows) > 1]
    if not groups:
        return np.zeros(0, np.int64)
    order = rng.permutation(len(groups))
    dealt = [groups[g][n] for n in range(max(map(len, groups))) for g in order if n < len(groups[g])]
    return np.array(dealt[:MOST_QUERIES], np.int64)


def to_sample(read: ReadRecords, near_duplicate_distance: float, *, centred: bool) -> Sample:
    """The sample that weights are chosen on. centred: as a collection compares that has learnt its mean."""
    vectors = np.stack([r.vector for r in read.records if r.vector is not None]).astype(np.float32)
    copies = copies_among(vectors, near_duplicate_distance)
    if centred:
        moved = vectors - vectors.mean(0)
        vectors = np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9), np.float32)
    names = [read.product_of(r) for r in read.records]
    _, products = np.unique(names, return_inverse=True)
    named = np.array([bool(name) for name in names])
    return Sample(vectors, np.where(named, products, -1), read.queries, copies)


def copies_among(vectors: NDArray[np.float32], near_duplicate_distance: float) -> NDArray[np.int64]:
    """Pairs of rows that are nearest to each other and near-duplicates, at most MOST_COPIES, shape (n, 2)."""
    nearest = np.zeros(len(vectors), np.int64)
    likeness = np.zeros(len(vectors), np.float32)
    for start in range(0, len(vectors), _NEAREST_ROWS):
        part = vectors[start : start + _NEAREST_ROWS] @ vectors.T
        part[np.arange(len(part)), np.arange(start, start + len(part))] = -2
        nearest[start : start + len(part)] = part.argmax(1)
        likeness[start : start + len(part)] = part.max(1)
    rows = np.arange(len(vectors))
    mutual = (nearest[nearest] == rows) & (rows < nearest) & (likeness >= 1 - near_duplicate_distance)
    return np.stack([rows[mutual], nearest[mutual]], 1)[:MOST_COPIES]
