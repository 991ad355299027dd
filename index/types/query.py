"""A search as it is asked, and the strategies that answer it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.types.boosts import Boost
from index.types.ordering import Order
from index.types.record import UNLIMITED_BYTES, Show, Vector

DIVERSITY_REACH, ORDER_REACH = 4, 1000


class SearchQuery(NamedTuple):
    """A search. `vector` is float32 of shape (dimension,), and is normalised on the way in.

    - `k`: hits to return, or groups if `group_by_product`. `offset`: how many to leave out before the first.
    - `max_distance`: cosine distance, 0 to 2.
    - `only_record_ids`: the records that are searched, each compared; None: all.
    - `exact`: compare every allowed record, whatever it takes.
    - `diversity`: 0 to 1: how much a hit gives way to one that is less like the hits before it (maximal marginal
      relevance over the best DIVERSITY_REACH times `k`, and as many more for each page).
    - `boosts`: what is added to the likeness of records, and orders them with it; together at most `boost_cap` more or
      less. Distances stay as they are.
    - `order`: sorts the best ORDER_REACH hits, or groups by their best hit; None: by likeness.
    - `facets`: attributes whose values are counted, and ranges of numbers such as `price[0,50]`. `facets_over_hits`:
      over the hits of the page instead of the allowed records.
    - `own_record`: the vector is that of one of the collection's records, not of something from elsewhere.
    - `by_distance`: in the order of distance, whatever the collection has learnt.
    - `composed`: the vector is a sum of several, or weighted otherwise, hence like no record.
    - `scale`: cosines are multiplied by it before distances are ordered, limited and returned. Only in an order by
      distance, or with `weights`.
    - `weights`: of each number of the vector, for the order of a collection that has learnt: float32, shape
      (dimension,), all from 0. `unweighted`: the vector before it was weighted. Both or neither.
    - `max_bytes`: of the hits' records and vectors, together.
    - `show`: makes bytes of the record of each hit, for `SearchAnswer.shown`. They may be kept while the record is
      there. Without vectors, groups, diversity, boosts and another order; None: hits have their records.
    """

    vector: Vector
    k: int
    offset: int = 0
    filter: str = ""
    group_by_product: bool = False
    group_size: int = 1
    max_distance: float | None = None
    exclude_record_ids: frozenset[str] = frozenset()
    only_record_ids: frozenset[str] | None = None
    include_vectors: bool = False
    exact: bool = False
    diversity: float = 0.0
    boosts: tuple[Boost, ...] = ()
    boost_cap: float | None = None
    order: Order | None = None
    facets: tuple[str, ...] = ()
    facets_over_hits: bool = False
    own_record: bool = False
    by_distance: bool = False
    composed: bool = False
    scale: float = 1.0
    weights: Vector | None = None
    unweighted: Vector | None = None
    max_bytes: int = UNLIMITED_BYTES
    show: Show | None = None


class ScanStrategy(StrEnum):
    """Which way an answer was found: by comparing every allowed record, by the signatures of every allowed record,
    along the graph, or within the clusters that are nearest to the query; each with or without a filter."""

    EMPTY = "empty"
    EXACT = "exact"
    EXACT_FILTERED = "exact_filtered"
    SKETCHES = "sketches"
    SKETCHES_FILTERED = "sketches_filtered"
    GRAPH = "graph"
    GRAPH_FILTERED = "graph_filtered"
    CLUSTERS_FILTERED = "clusters_filtered"


class QuerySum(NamedTuple):
    """Queries that were searched with: how many, and the sum of their vectors, each of length 1, shape (dimension,),
    float64."""

    number: int
    total: NDArray[np.float64]


class SearchNotes(NamedTuple):
    """What a process that only reads noted of the searches of a collection, for the one that writes. counted: how many
    by day and bin, as for `Collection.count_search`."""

    queries: QuerySum
    counted: Mapping[tuple[int, int | None], int]
