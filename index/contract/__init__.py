"""The two seams of the index, as Protocols: `RecordStore` keeps the truth, `VectorIndex` answers searches.

Both are written in the shapes of `index.types`, so that an implementation needs nothing else of this library. Each has
a conformance suite in `tests/index/conformance`. What an implementation does inside does not belong here.
"""

from index.contract.backups import BackupSet
from index.contract.changes import ChangeSink, StagedChanges
from index.contract.companions import (
    FEEDBACK,
    JUDGED_PAIRS,
    PICTURES,
    SAVED_SEARCHES,
    SOURCES,
    Companion,
    FeedbackReads,
    FeedbackWrites,
    JudgedPairReads,
    JudgedPairWrites,
    PictureReads,
    PictureWrites,
    SavedSearchReads,
    SavedSearchWrites,
    SourceReads,
    SourceWrites,
)
from index.contract.following import (
    ChangeBlock,
    FollowedStore,
    FollowingIndex,
    FollowingIndexFactory,
)
from index.contract.record_store import (
    ColdRecords,
    RecordStore,
    RecordStoreFactory,
    RecordTransaction,
    RecordWriter,
    SharedRecordStores,
)
from index.contract.sharing import (
    DatabaseSharing,
    DatabaseTransactions,
    ErasingServers,
    ServerStanding,
    SharedDatabase,
)
from index.contract.vector_index import (
    Capabilities,
    IndexSite,
    RowGroup,
    Selection,
    VectorIndex,
    VectorIndexFactory,
)

__all__ = [
    "FEEDBACK",
    "JUDGED_PAIRS",
    "PICTURES",
    "SAVED_SEARCHES",
    "SOURCES",
    "BackupSet",
    "Capabilities",
    "ChangeBlock",
    "ChangeSink",
    "ColdRecords",
    "Companion",
    "DatabaseSharing",
    "DatabaseTransactions",
    "ErasingServers",
    "FeedbackReads",
    "FeedbackWrites",
    "FollowedStore",
    "FollowingIndex",
    "FollowingIndexFactory",
    "IndexSite",
    "JudgedPairReads",
    "JudgedPairWrites",
    "PictureReads",
    "PictureWrites",
    "RecordStore",
    "RecordStoreFactory",
    "RecordTransaction",
    "RecordWriter",
    "RowGroup",
    "SavedSearchReads",
    "SavedSearchWrites",
    "Selection",
    "ServerStanding",
    "SharedDatabase",
    "SharedRecordStores",
    "SourceReads",
    "SourceWrites",
    "StagedChanges",
    "VectorIndex",
    "VectorIndexFactory",
]
