"""What is searched for: pictures, terms, boosts and saved searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from afterimage.client.values.records import ImageSource, Region


@dataclass(frozen=True)
class Picture:
    """A picture to process once, with exactly one of image and url."""

    image: ImageSource | None = field(default=None, repr=False)
    region: Region | None = None
    url: str = ""


@dataclass(frozen=True)
class Term:
    """One part of a query, with exactly one of image, url, record_id, vector, search_id, color and text. A negative
    weight searches away from it.

    - search_id: of an earlier `SearchResult`, instead of its picture.
    - color: "#d02030", "#d23", or a name of CSS such as "crimson".
    - text: what is shown, in words, such as "red mug with stripes".
    """

    image: ImageSource | None = field(default=None, repr=False)
    url: str = ""
    record_id: str = ""
    vector: bytes | Sequence[float] | None = field(default=None, repr=False)
    region: Region | None = None
    weight: float = 1.0
    search_id: str = field(default="", repr=False)
    color: str = ""
    text: str = field(default="", repr=False)


@dataclass(frozen=True)
class Boost:
    """Adds `weight` (-1 to 1) times a factor to the similarity of records: 1 for those that match `filter`, or a factor
    of 0 to 1 by the number of `attribute`.

    - origin: the number with the factor 1. scale: distance from it at which the factor is 0.5.
    - offset: numbers within this distance of the origin count as the origin.
    - decay: "gauss", "exponential" or "linear".
    - side: "both"; "more": numbers above the origin count as the origin; "less": those below it.
    """

    weight: float
    filter: str = ""
    attribute: str = ""
    origin: float = 0.0
    scale: float = 1.0
    offset: float = 0.0
    decay: str = "gauss"
    side: str = "both"


@dataclass(frozen=True)
class Variant:
    """One side of a comparison: a collection, and further arguments of `search`, such as {"k": 20}."""

    collection: str
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchParameter:
    """A value that a saved search takes. type: string, number or boolean. default: None: each search must give one."""

    type: str = "string"
    default: str | float | bool | None = None
    description: str = ""


@dataclass(frozen=True)
class SavedSearch:
    """A version of a saved search. options: arguments of `search`, such as {"k": 20}. hints: warnings about its
    filters, when it has just been saved."""

    name: str
    options: Mapping[str, object]
    parameters: Mapping[str, SearchParameter]
    description: str
    version: int
    etag: str
    create_time: datetime
    update_time: datetime
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class FilterCheck:
    """The number of records that a filter matches, names in it that no record has, and warnings."""

    record_count: int
    unknown_attributes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
