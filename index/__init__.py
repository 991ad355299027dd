"""Durable vector collections: encrypted, exact, safe against kill -9. Knows no gRPC, no Redis, no asyncio, no pictures.

How a collection lives:

    tenant = TenantDirectory(DataDirectory(root).tenant(uid), key)       # key: the tenant's 32 bytes
    shoes = tenant.create(CollectionSpec("shoes", "builtin", fingerprint, dimension=384))
    shoes.upsert([RecordWrite("1", vector, product_id="p1", attributes={"color": "red"})])   # on disk when it returns
    answer = shoes.search(SearchQuery(vector, k=10, filter='color = "red"'))
    tenant.close()                                                       # snapshots what changed

    tenant = TenantDirectory(...)                                        # opens the list of collections only
    shoes = tenant.collection("shoes")                                   # loads the snapshot, replays what came after

A write goes to SQLite first (group commit: concurrent writers share one fsync), then to the rows in memory, then a new
immutable View is published; only then does the call return. A search takes the newest View and never waits. Snapshots
are derived: where one is missing, stale or damaged, the rows are rebuilt from SQLite.
"""

from index.collection import Collection
from index.errors import (
    AfterimageIndexError,
    AnswerTooLarge,
    CollectionExists,
    CollectionNotFound,
    DataFault,
    DigestMoved,
    DirectoryLocked,
    FilterSyntaxError,
    InvalidInput,
    OutcomeUnknown,
    QuotaExceeded,
    RecordExists,
    RecordNotFound,
    SnapshotDamaged,
    SnapshotNotFound,
    StaleEpoch,
    StoreDamaged,
    StoreUnavailable,
    UnsupportedFormat,
    WrongKey,
)
from index.filters.syntax import filter_fields
from index.hot import HotCollections
from index.kept import KeptSnapshot
from index.layout import DataDirectory
from index.lock import DirectoryLock
from index.model import (
    UNLIMITED_BYTES,
    AttributeValue,
    CollectionSpec,
    CollectionStats,
    Facet,
    FilterHints,
    Hit,
    KeptPicture,
    Origin,
    Outcome,
    Path,
    PicturePolicy,
    RecordPage,
    RecordPatch,
    RecordWrite,
    Region,
    SearchAnswer,
    SearchQuery,
    SourceMark,
    StoredRecord,
    Vector,
    WriteResult,
)
from index.quota import Quota, Usage
from index.source_batch import Failure, Mark, SourceBatch
from index.source_records import SourceRecords
from index.tenant import TenantDirectory

__all__ = [
    "UNLIMITED_BYTES", "AfterimageIndexError", "AnswerTooLarge", "AttributeValue", "Collection", "CollectionExists",
    "CollectionNotFound", "CollectionSpec", "CollectionStats", "DataDirectory", "DataFault", "DigestMoved",
    "DirectoryLock", "DirectoryLocked", "Facet", "Failure", "FilterHints", "FilterSyntaxError", "Hit", "HotCollections",
    "InvalidInput", "KeptPicture", "KeptSnapshot", "Mark", "Origin", "Outcome", "OutcomeUnknown", "Path",
    "PicturePolicy", "Quota", "QuotaExceeded", "RecordExists", "RecordNotFound", "RecordPage", "RecordPatch",
    "RecordWrite", "Region", "SearchAnswer", "SearchQuery", "SnapshotDamaged", "SnapshotNotFound", "SourceBatch",
    "SourceMark", "SourceRecords", "StaleEpoch", "StoreDamaged", "StoreUnavailable", "StoredRecord", "TenantDirectory",
    "UnsupportedFormat", "Usage", "Vector", "WriteResult", "WrongKey", "filter_fields",
]  # fmt: skip
