"""Durable vector collections: encrypted, exact, safe against kill -9. Knows no gRPC, no Redis, no asyncio.

What others keep beside the records, such as pictures, is known to `index.records.extensions` alone.

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

import importlib
import typing

if typing.TYPE_CHECKING:
    from index.collection.closing import save_changed
    from index.collection.collection import Collection
    from index.collection.collection_cache import CollectionCache
    from index.collection.followed import FollowedCache
    from index.collection.tally import TALLY_BINS, TALLY_DAYS, SearchDay, SearchTally
    from index.contract import (
        DatabaseSharing,
        DatabaseTransactions,
        ErasingServers,
        SharedDatabase,
        SharedRecordStores,
    )
    from index.manifest.change_number import number_of, raise_number
    from index.manifest.entries import read_entries
    from index.manifest.listed_database import open_listed
    from index.manifest.location import Location
    from index.manifest.manifest import Manifest, State, Thing
    from index.manifest.opening import open_manifest
    from index.manifest.transactions import SharedElsewhere, database_id, read_note, transactions
    from index.records.backup_manifest import read_manifest
    from index.records.extensions.registered import (
        FeedbackBook,
        JudgedPairs,
        PictureDigests,
        SourceRecords,
        lost_by,
        postgres_sharing,
        postgres_stores,
    )
    from index.records.queries import read_learnt
    from index.speed.malloc_trim import trim_heap
    from index.storage.layout import DataDirectory, TenantLayout, new_uid
    from index.storage.lock import DirectoryLock
    from index.tenant.directory import TenantDirectory
    from index.tenant.followed_directory import FollowedDirectory
    from index.tenant.inspection import check_pages, deep_faults, file_faults
    from index.tenant.records_repair import RepairStep
    from index.tenant.repair import Repair
    from index.tenant.store_copying import CopiedCollection, copy_collections
    from index.types.answer import (
        DuplicateGroup,
        Facet,
        FilterHints,
        Hit,
        Matching,
        PassedOver,
        SearchAnswer,
        ShownHit,
    )
    from index.types.attributes import (
        MAX_ATTRIBUTES,
        MAX_ID_BYTES,
        MAX_LIST_VALUES,
        MAX_STRING_BYTES,
        attributes_from_json,
        attributes_to_json,
        check_attribute_name,
        check_id,
        check_region,
    )
    from index.types.backup import Backup
    from index.types.boosts import Boost, Decay, NumberFactor, Side
    from index.types.checks import check_record, normalised
    from index.types.collection import CollectionSpec, CollectionStats
    from index.types.companions import Dropped, KeptPicture, Origin, PicturePolicy, SavedSearch, SourceMark
    from index.types.errors import (
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
        SavedSearchExists,
        SavedSearchMoved,
        SavedSearchNotFound,
        SnapshotDamaged,
        SnapshotNotFound,
        StaleEpoch,
        StoreDamaged,
        StoreUnavailable,
        UnsupportedFormat,
        WrongKey,
    )
    from index.types.facets import NumberRange
    from index.types.feedback.judgements import JudgedPair, Judgement, JudgementResult, Verdict, VerdictTally
    from index.types.feedback.sums import FeedbackSums, Moments
    from index.types.ordering import Order, Position, parse_order
    from index.types.query import QuerySum, ScanStrategy, SearchNotes, SearchQuery
    from index.types.quota import Allowance, Quota, StorageLimits, Usage
    from index.types.record import (
        UNLIMITED_BYTES,
        Attributes,
        AttributeValue,
        Outcome,
        RecordPage,
        RecordPatch,
        RecordWrite,
        Region,
        StoredRecord,
        Vector,
        WriteResult,
    )
    from index.types.sources import Failure, ItemPush, Mark, PushedItems, PushResult, SourceBatch
    from index.vectors.ann.centering import CenteringTransform
    from index.vectors.filters.parameters import ParameterValue, check_filter, fill_filter, filter_parameters
    from index.vectors.filters.syntax import MAX_FILTER_BYTES, filter_fields
    from index.vectors.local import LocalVectorIndexes
    from index.vectors.local.follower import FollowerIndexes
    from index.vectors.snapshots.manifest import purpose_of

__all__ = [
    "MAX_ATTRIBUTES",
    "MAX_FILTER_BYTES",
    "MAX_ID_BYTES",
    "MAX_LIST_VALUES",
    "MAX_STRING_BYTES",
    "TALLY_BINS",
    "TALLY_DAYS",
    "UNLIMITED_BYTES",
    "AfterimageIndexError",
    "Allowance",
    "AnswerTooLarge",
    "AttributeValue",
    "Attributes",
    "Backup",
    "Boost",
    "CenteringTransform",
    "Collection",
    "CollectionCache",
    "CollectionExists",
    "CollectionNotFound",
    "CollectionSpec",
    "CollectionStats",
    "CopiedCollection",
    "DataDirectory",
    "DataFault",
    "DatabaseSharing",
    "DatabaseTransactions",
    "Decay",
    "DigestMoved",
    "DirectoryLock",
    "DirectoryLocked",
    "Dropped",
    "DuplicateGroup",
    "ErasingServers",
    "Facet",
    "Failure",
    "FeedbackBook",
    "FeedbackSums",
    "FilterHints",
    "FilterSyntaxError",
    "FollowedCache",
    "FollowedDirectory",
    "FollowerIndexes",
    "Hit",
    "InvalidInput",
    "ItemPush",
    "JudgedPair",
    "JudgedPairs",
    "Judgement",
    "JudgementResult",
    "KeptPicture",
    "LocalVectorIndexes",
    "Location",
    "Manifest",
    "Mark",
    "Matching",
    "Moments",
    "NumberFactor",
    "NumberRange",
    "Order",
    "Origin",
    "Outcome",
    "OutcomeUnknown",
    "ParameterValue",
    "PassedOver",
    "PictureDigests",
    "PicturePolicy",
    "Position",
    "PushResult",
    "PushedItems",
    "QuerySum",
    "Quota",
    "QuotaExceeded",
    "RecordExists",
    "RecordNotFound",
    "RecordPage",
    "RecordPatch",
    "RecordWrite",
    "Region",
    "Repair",
    "RepairStep",
    "SavedSearch",
    "SavedSearchExists",
    "SavedSearchMoved",
    "SavedSearchNotFound",
    "ScanStrategy",
    "SearchAnswer",
    "SearchDay",
    "SearchNotes",
    "SearchQuery",
    "SearchTally",
    "SharedDatabase",
    "SharedElsewhere",
    "SharedRecordStores",
    "ShownHit",
    "Side",
    "SnapshotDamaged",
    "SnapshotNotFound",
    "SourceBatch",
    "SourceMark",
    "SourceRecords",
    "StaleEpoch",
    "State",
    "StorageLimits",
    "StoreDamaged",
    "StoreUnavailable",
    "StoredRecord",
    "TenantDirectory",
    "TenantLayout",
    "Thing",
    "UnsupportedFormat",
    "Usage",
    "Vector",
    "Verdict",
    "VerdictTally",
    "WriteResult",
    "WrongKey",
    "attributes_from_json",
    "attributes_to_json",
    "check_attribute_name",
    "check_filter",
    "check_id",
    "check_pages",
    "check_record",
    "check_region",
    "copy_collections",
    "database_id",
    "deep_faults",
    "file_faults",
    "fill_filter",
    "filter_fields",
    "filter_parameters",
    "lost_by",
    "new_uid",
    "normalised",
    "number_of",
    "open_listed",
    "open_manifest",
    "parse_order",
    "postgres_sharing",
    "postgres_stores",
    "purpose_of",
    "raise_number",
    "read_entries",
    "read_learnt",
    "read_manifest",
    "read_note",
    "save_changed",
    "transactions",
    "trim_heap",
]  # fmt: skip

# A name is imported when it is first asked for. The processes that build an ANN index or read a feed need little of
# this library, and start in half the time. A test compares this table with the imports above.
_MODULES = {
    "collection.closing": ("save_changed",),
    "collection.collection": ("Collection",),
    "collection.collection_cache": ("CollectionCache",),
    "collection.followed": ("FollowedCache",),
    "contract": (
        "DatabaseSharing", "DatabaseTransactions", "ErasingServers", "SharedDatabase", "SharedRecordStores",
    ),
    "manifest.change_number": ("number_of", "raise_number"),
    "manifest.entries": ("read_entries",),
    "manifest.listed_database": ("open_listed",),
    "manifest.location": ("Location",),
    "manifest.manifest": ("Manifest", "State", "Thing"),
    "manifest.opening": ("open_manifest",),
    "manifest.transactions": ("SharedElsewhere", "database_id", "read_note", "transactions"),
    "records.backup_manifest": ("read_manifest",),
    "records.extensions.registered": (
        "FeedbackBook", "JudgedPairs", "PictureDigests", "SourceRecords", "lost_by", "postgres_sharing",
        "postgres_stores",
    ),
    "records.queries": ("read_learnt",),
    "speed.malloc_trim": ("trim_heap",),
    "storage.layout": ("DataDirectory", "TenantLayout", "new_uid"),
    "storage.lock": ("DirectoryLock",),
    "tenant.directory": ("TenantDirectory",),
    "tenant.followed_directory": ("FollowedDirectory",),
    "tenant.inspection": ("check_pages", "deep_faults", "file_faults"),
    "tenant.records_repair": ("RepairStep",),
    "tenant.repair": ("Repair",),
    "tenant.store_copying": ("CopiedCollection", "copy_collections"),
    "types.answer": (
        "DuplicateGroup", "Facet", "FilterHints", "Hit", "Matching", "PassedOver", "SearchAnswer", "ShownHit",
    ),
    "types.attributes": (
        "MAX_ATTRIBUTES", "MAX_ID_BYTES", "MAX_LIST_VALUES", "MAX_STRING_BYTES", "attributes_from_json",
        "attributes_to_json", "check_attribute_name", "check_id", "check_region",
    ),
    "types.backup": ("Backup",),
    "types.checks": ("check_record", "normalised"),
    "types.collection": ("CollectionSpec", "CollectionStats"),
    "types.companions": ("Dropped", "KeptPicture", "Origin", "PicturePolicy", "SavedSearch", "SourceMark"),
    "types.errors": (
        "AfterimageIndexError", "AnswerTooLarge", "CollectionExists", "CollectionNotFound", "DataFault",
        "DigestMoved", "DirectoryLocked", "FilterSyntaxError", "InvalidInput", "OutcomeUnknown",
        "QuotaExceeded", "RecordExists", "RecordNotFound", "SavedSearchExists", "SavedSearchMoved",
        "SavedSearchNotFound", "SnapshotDamaged", "SnapshotNotFound", "StaleEpoch", "StoreDamaged",
        "StoreUnavailable", "UnsupportedFormat", "WrongKey",
    ),
    "types.boosts": ("Boost", "Decay", "NumberFactor", "Side"),
    "types.facets": ("NumberRange",),
    "types.feedback.sums": ("FeedbackSums", "Moments"),
    "types.feedback.judgements": ("JudgedPair", "Judgement", "JudgementResult", "Verdict", "VerdictTally"),
    "types.ordering": ("Order", "Position", "parse_order"),
    "types.query": ("QuerySum", "ScanStrategy", "SearchNotes", "SearchQuery"),
    "types.quota": ("Allowance", "Quota", "StorageLimits", "Usage"),
    "types.record": (
        "UNLIMITED_BYTES", "Attributes", "AttributeValue", "Outcome", "RecordPage", "RecordPatch",
        "RecordWrite", "Region", "StoredRecord", "Vector", "WriteResult",
    ),
    "types.sources": ("Failure", "ItemPush", "Mark", "PushResult", "PushedItems", "SourceBatch"),
    "collection.tally": ("TALLY_BINS", "TALLY_DAYS", "SearchDay", "SearchTally"),
    "vectors.ann.centering": ("CenteringTransform",),
    "vectors.filters.parameters": ("ParameterValue", "check_filter", "fill_filter", "filter_parameters"),
    "vectors.filters.syntax": ("MAX_FILTER_BYTES", "filter_fields"),
    "vectors.local": ("LocalVectorIndexes",),
    "vectors.local.follower": ("FollowerIndexes",),
    "vectors.snapshots.manifest": ("purpose_of",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    return value
