"""Limits of requests and sizes of pages, in one table. docs/api.md and the comments of the protos state them too.

What depends on the server is not here: sizes of messages (settings), quotas and rates (the tenant), dimensions (the
encoder).
"""

from __future__ import annotations

from typing import Final, NamedTuple


class PageSize(NamedTuple):
    """The sizes that a page of a list may have. `default`: of a request that sets none."""

    default: int
    largest: int


PAGE: Final = PageSize(default=100, largest=1000)  # of every list without an entry of its own
RUNS: Final = PageSize(default=50, largest=200)

# Records
MAX_BATCH_RECORDS: Final = 100  # with pictures
MAX_IDS: Final = 1000  # of records or examples in one call
MAX_SAMPLE: Final = 1000

# Searches
MAX_K: Final = 1000
MAX_OFFSET: Final = 10_000
MAX_HITS: Final = 10_000  # of a grouped search
MAX_DIVERSE: Final = 200  # offset and k together
MAX_BOOSTS: Final = 8
MAX_BOOST: Final = 1.0
MAX_BOOST_CAP: Final = 2.0
MAX_SORTED: Final = 1000  # offset and k together
MAX_TERMS: Final = 16
MAX_TEXT: Final = 1000  # characters of a text in a query
MAX_FACETS: Final = 16
MAX_EXCLUDED: Final = 1000
MAX_ONLY: Final = 1000
MAX_FEEDBACK: Final = 100  # liked records, and as many disliked ones
MAX_FEEDBACK_WEIGHT: Final = 10.0
MAX_GROUP_SIZE: Final = 100
MAX_BATCH_SEARCHES: Final = 32
MAX_PICTURES: Final = 100
MAX_OBJECTS: Final = 32  # of one picture
DEFAULT_OBJECTS: Final = 16
MAX_PAIRS: Final = 10_000  # labelled pairs in one call
MAX_CLASSIFY_K: Final = 100
DEFAULT_CLASSIFY_K: Final = 10
MAX_PROJECTED: Final = 5000
DEFAULT_PROJECTED: Final = 1000
MAX_DISTANCE: Final = 2.0
MAX_SCORE: Final = 1.0
MAX_WEIGHT: Final = 1000.0

# Saved searches
MAX_PARAMETERS: Final = 32
DEFAULT_SAVED_K: Final = 10
MAX_VERSION: Final = 2**62

# Training, links and audit
MAX_BATCH_EXAMPLES: Final = 100
DEFAULT_LINK_MINUTES: Final = 10
MAX_AUDIT_NUMBER: Final = 2**62

# Reports
MAX_REPORT_DAYS: Final = 90
DEFAULT_REPORT_DAYS: Final = 30
MAX_REPORTED_COLLECTIONS: Final = 1000
