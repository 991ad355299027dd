"""The extensions that this library has, and what collections and tenants offer of them.

The only module that imports them. A new extension is listed in `EXTENSIONS`, after those whose rows it follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from index.contract import SOURCES
from index.records.extensions.feedback import Feedback, FeedbackBook
from index.records.extensions.hook import CollectionAccess, Extensions
from index.records.extensions.judged_pairs import JudgedPairs, Pairs
from index.records.extensions.kept_pictures import lost_by
from index.records.extensions.picture_book import PictureBook
from index.records.extensions.picture_digests import PictureDigests, digest_key
from index.records.extensions.pictures import Pictures
from index.records.extensions.saved_search_book import SavedSearchBook
from index.records.extensions.saved_searches import SavedSearches
from index.records.extensions.source_records import SourceRecords
from index.records.extensions.sources import Sources
from index.records.sqlite_stores import SqliteRecordStores
from index.storage.crypto import derive_key
from index.types.collection import CollectionSpec
from index.types.companions import Dropped, Origin, PicturePolicy
from index.types.record import Region

if TYPE_CHECKING:
    from index.records.postgresql.shared_databases import SharedDatabases
    from index.records.postgresql.stores import PostgresRecordStores

__all__ = [
    "EXTENSIONS",
    "FeedbackBook",
    "JudgedPairs",
    "PictureBook",
    "PictureDigests",
    "SavedSearchBook",
    "SourceRecords",
    "lost_by",
    "postgres_sharing",
    "postgres_stores",
    "record_stores",
]
T = TypeVar("T")
EXTENSIONS = Extensions(Sources(), Pictures(), Feedback(), SavedSearches(), Pairs())


def record_stores() -> SqliteRecordStores:
    """The stores of this library, with its extensions."""
    return SqliteRecordStores(EXTENSIONS)


def postgres_stores(url: str) -> PostgresRecordStores:
    """The same, shared with other servers through the PostgreSQL database at `url`. Raises ImportError without the
    package psycopg."""
    from index.records.postgresql.stores import PostgresRecordStores

    return PostgresRecordStores(EXTENSIONS, url)


def postgres_sharing(url: str) -> SharedDatabases:
    """Shares other databases of a server in the same way."""
    from index.records.postgresql.shared_databases import SharedDatabases

    return SharedDatabases(url)


class CollectionCompanions:
    """Part of Collection: what extensions offer of it. Any number of threads may call any method at once."""

    def __init__(self, access: CollectionAccess, key: bytes) -> None:
        """key: the tenant's data key, 32 bytes."""
        self._access, self._digest_key, self._key = access, digest_key(key), key

    @property
    def pictures(self) -> PictureBook:
        """What is kept of pictures."""
        return PictureBook(self._access)

    @property
    def feedback(self) -> FeedbackBook:
        """Sums of people's feedback."""
        return FeedbackBook(self._access)

    @property
    def judged_pairs(self) -> JudgedPairs:
        """Verdicts on pairs of records: "these are not duplicates", "this is the same product"."""
        return JudgedPairs(self._access)

    @property
    def sourced(self) -> SourceRecords:
        """The records that follow a source, for catalogue synchronisation."""
        return SourceRecords(self._access)

    @property
    def saved_searches(self) -> SavedSearchBook:
        """Its saved searches."""
        return SavedSearchBook(self._access)

    @property
    def picture_digests(self) -> PictureDigests:
        """What makes the digests of this collection's pictures."""
        return PictureDigests(self._digest_key, self._access.spec.encoder_fingerprint)

    def content_digest(self, picture: bytes, region: Region | None) -> bytes:
        """A keyed digest of a picture and its region: equal for equal input, meaningless without the tenant's key."""
        return self.picture_digests.of(picture, region)

    def derived_key(self, purpose: str) -> bytes:
        """A key of the tenant for one purpose, 32 bytes. It is the same for all of the tenant's collections."""
        return derive_key(self._key, purpose)

    def origins(self, record_ids: Sequence[str]) -> dict[str, Origin]:
        """Where the pictures of those records that were fetched came from."""
        return self._access.read(lambda store: store.companion(SOURCES).origins(record_ids))


class _Pictured(Protocol):
    @property
    def pictures(self) -> PictureBook: ...


C = TypeVar("C", bound=_Pictured)


class TenantCompanions(Generic[C]):
    """Part of TenantDirectory: what extensions offer of a tenant's collections."""

    def amend(self, name: str, spec: Callable[[CollectionSpec], CollectionSpec], then: Callable[[C], T]) -> T:
        """Changes what a collection is, and does what follows from it."""
        raise NotImplementedError

    def set_policy(self, name: str, policy: PicturePolicy) -> tuple[C, Dropped]:
        """Changes what is kept of pictures. What the new policy does not allow is dropped, and the copies in object
        storage become nobody's. Once the list has the policy, the next start drops what a crash left. Raises
        CollectionNotFound."""

        def changed(spec: CollectionSpec) -> CollectionSpec:
            if policy is spec.picture_policy:
                return spec
            return replace(spec, picture_policy=policy, policy_version=spec.policy_version + 1)

        return self.amend(name, changed, lambda collection: (collection, collection.pictures.apply_policy()))
