"""One collection as its users see it: the handle, the cache of collections in memory, and what runs beside the calls.

Here records and vectors meet. What concerns only one of them belongs in `index.records` or `index.vectors`.
"""

from index.collection.collection import Collection

__all__ = ["Collection"]
