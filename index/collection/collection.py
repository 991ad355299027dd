"""A durable collection of vectors: the store is the truth, the vector index answers the searches."""

from __future__ import annotations

from index.collection.admin_side import AdminSide
from index.collection.collection_cache import CollectionCache
from index.collection.collection_handle import CollectionHandle
from index.collection.read_side import ReadSide
from index.collection.write_side import WriteSide
from index.manifest.location import Location
from index.records.extensions.registered import CollectionCompanions
from index.types.collection import CollectionSpec


class Collection(WriteSide, ReadSide, AdminSide, CollectionCompanions):
    """Records of one collection. Any number of threads may call any method at once.

    TenantDirectory makes one. It is brought into memory by its first use; every write returns after it is on disk. All
    methods raise StoreUnavailable where the files cannot be read or written, or once the collection is closed.
    """

    def __init__(self, place: Location, cache: CollectionCache) -> None:
        handle = CollectionHandle(place, cache)
        WriteSide.__init__(self, handle)
        CollectionCompanions.__init__(self, handle, place.key)

    @property
    def spec(self) -> CollectionSpec:
        """What the collection is."""
        return self.handle.place.spec

    @property
    def owner(self) -> str:
        """Uid of the tenant that it belongs to."""
        return self.handle.place.owner

    @property
    def home(self) -> str:
        """What its backups are listed by, and where extensions keep files of it outside of its directory."""
        return self.handle.home
