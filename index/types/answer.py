"""What searches, counts and the search for duplicates return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from index.types.facets import NumberRange
from index.types.query import ScanStrategy
from index.types.record import StoredRecord

MOST_FACET_VALUES = 100
MOST_PASSED_OVER = 100


class Hit(NamedTuple):
    """A record and its cosine distance to the query, 0 to 2. boosts: what each boost of the query adds, before the cap;
    none where there are none. boost: all together."""

    record: StoredRecord
    distance: float
    boosts: tuple[float, ...] = ()
    boost: float = 0.0


class ShownHit(NamedTuple):
    """A hit of a query with `show`: what that made of its record, and the cosine distance to the query, 0 to 2."""

    content: bytes
    distance: float


@dataclass(frozen=True)
class Facet:
    """How many records have each value of an attribute, the most frequent first, or a number in each range, the lowest
    first.

    A record counts once for each member of a list. Numbers count only in ranges. `values`: how many there are in all.
    """

    attribute: str
    counts: tuple[tuple[str | bool | NumberRange, int], ...]
    values: int


class FilterHints(NamedTuple):
    """What is odd about a filter: names that no record has, and a sentence for each oddity."""

    unknown_attributes: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()


class Matching(NamedTuple):
    """How many records match a filter, and what is odd about it."""

    records: int
    hints: FilterHints


class PassedOver(NamedTuple):
    """A record that is no hit for the sake of diversity, although it is nearer than some hit of the page.

    similar_to: of the hits on this page and before, the one that it is most like.
    """

    record_id: str
    distance: float
    similar_to: str


class SearchAnswer(NamedTuple):
    """Hits, nearest first; in groups where asked for (each group nearest first, groups by their best hit).

    - `learned`: in the order of the likeness that the collection has learnt; distances are the encoder's all the same.
    - `filter_s`: seconds until the allowed rows were known; 0 without a filter.
    - `shown`: the hits of a query with `show`, which has no groups.
    - `passed_over`: for the sake of diversity, the nearest first, at most MOST_PASSED_OVER of the `passed_over_total`.
    """

    groups: tuple[tuple[Hit, ...], ...]
    allowed: int
    path: ScanStrategy
    sequence: int
    index_time_ms: int
    facets: tuple[Facet, ...] = ()
    learned: bool = False
    hints: FilterHints = FilterHints()
    passed_over: tuple[PassedOver, ...] = ()
    passed_over_total: int = 0
    filter_s: float = 0.0
    shown: tuple[ShownHit, ...] = ()

    @property
    def hits(self) -> tuple[Hit, ...]:
        """All hits, group by group; without grouping simply the hits, nearest first."""
        return tuple(hit for group in self.groups for hit in group)


@dataclass(frozen=True)
class DuplicateGroup:
    """Records that look the same, the one inserted first in front, and the largest distance to it.

    - `identical_ids`: those among them with the same content digest, together.
    - `merged`: pairs in it that were judged to be of the same product.
    - `contradictions`: pairs in it that were judged different, while other verdicts say that they are the same product.
    """

    record_ids: tuple[str, ...]
    max_distance: float
    identical_ids: tuple[tuple[str, ...], ...] = ()
    merged: int = 0
    contradictions: tuple[tuple[str, str], ...] = ()

    @property
    def identical(self) -> bool:
        """Whether all have the same content digest."""
        return self.identical_ids == (self.record_ids,)
