"""Client of the Afterimage visual-search service.

    from pathlib import Path
    from afterimage.client import Client, NewRecord

    with Client("127.0.0.1:50051", api_key="af_live_...") as client:
        client.create_collection("shoes")
        client.insert("shoes", [NewRecord("1", image=Path("1.jpg"), attributes={"color": "red"})])
        for hit in client.search("shoes", Path("query.jpg"), k=5, filter='color = "red"').hits:
            print(hit.record_id, hit.score)

`AsyncClient` has the same methods to await. Failures are `AfterimageError`s; of a batch, each record has its own.
"""

from afterimage.client.aio import AsyncClient
from afterimage.client.catalogue_values import (
    FeedColumn,
    FeedItem,
    FeedOptions,
    FeedPreview,
    FeedProblem,
    NewSource,
    PictureNoteCount,
    Plan,
    PlannedRecord,
    Run,
    RunProgress,
    Source,
    SyncFailure,
)
from afterimage.client.errors import (
    Aborted,
    AfterimageError,
    AlreadyExists,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from afterimage.client.judgements import (
    DuplicatesSummary,
    Feedback,
    FeedbackAdded,
    FeedbackSums,
    FeedbackTotals,
    JudgedPair,
    PairJudgement,
    PairResult,
)
from afterimage.client.kept import PictureLink, PictureLinks, PolicyChange, RecordLink
from afterimage.client.oversight import (
    AccessRequest,
    AuditAct,
    AuditEntry,
    AuditHead,
    ErasureReceipt,
    audit_acts,
)
from afterimage.client.retry import RetryPolicy
from afterimage.client.sync import Client
from afterimage.client.training import (
    Example,
    ExampleResult,
    ModelDeletion,
    NewExample,
    OwnModel,
    SetDeletion,
    Training,
    TrainingSet,
)
from afterimage.client.tuning import (
    CalibrationReport,
    DistanceThreshold,
    LabelledPair,
    PairCalibration,
    ReliabilityBin,
    Tuning,
    WeightReport,
)
from afterimage.client.values import (
    AttributeValue,
    Boost,
    Collection,
    Comparison,
    Deletion,
    DuplicateGroup,
    EncodedPicture,
    Encoder,
    Facet,
    FilterCheck,
    Hit,
    HitGroup,
    IndexStats,
    KeptOfCollection,
    Label,
    NewRecord,
    NumberRange,
    PassedOver,
    Patch,
    Picture,
    PictureNote,
    PrivacyReport,
    Progress,
    ProjectedRecord,
    Protection,
    RankedPicture,
    Record,
    RecordFailure,
    RecordMap,
    RecordResult,
    RecordSample,
    Region,
    SavedSearch,
    ScoreCalibration,
    SearchDay,
    SearchParameter,
    SearchReport,
    SearchResult,
    ServerInfo,
    Snapshot,
    Term,
    Usage,
    Variant,
    unpack_vector,
)

__all__ = [
    "Aborted", "AccessRequest", "AfterimageError", "AlreadyExists", "AsyncClient", "AttributeValue", "AuditAct",
    "AuditEntry", "AuditHead", "Boost", "CalibrationReport", "Client", "Collection", "Comparison", "DataLoss",
    "DeadlineExceeded", "Deletion", "DistanceThreshold", "DuplicateGroup", "DuplicatesSummary", "EncodedPicture",
    "Encoder", "ErasureReceipt", "Example", "ExampleResult", "Facet", "FailedPrecondition", "FeedColumn", "FeedItem",
    "FeedOptions", "FeedPreview", "FeedProblem", "Feedback", "FeedbackAdded", "FeedbackSums", "FeedbackTotals",
    "FilterCheck", "Hit", "HitGroup", "IndexStats", "InternalError", "InvalidArgument", "JudgedPair",
    "KeptOfCollection", "Label", "LabelledPair", "ModelDeletion", "NewExample", "NewRecord", "NewSource", "NotFound",
    "NumberRange", "OwnModel", "PairCalibration", "PairJudgement", "PairResult", "PassedOver", "Patch",
    "PermissionDenied", "Picture", "PictureLink", "PictureLinks", "PictureNote", "PictureNoteCount", "Plan",
    "PlannedRecord", "PolicyChange", "PrivacyReport", "Progress", "ProjectedRecord", "Protection", "RankedPicture",
    "Record", "RecordFailure", "RecordLink", "RecordMap", "RecordResult", "RecordSample", "Region", "ReliabilityBin",
    "ResourceExhausted", "RetryPolicy", "Run", "RunProgress", "SavedSearch", "ScoreCalibration", "SearchDay",
    "SearchParameter", "SearchReport", "SearchResult", "ServerInfo", "SetDeletion", "Snapshot", "Source",
    "SyncFailure", "Term", "Training", "TrainingSet", "Tuning", "Unauthenticated", "Unavailable", "Unimplemented",
    "Usage", "Variant", "WeightReport", "audit_acts", "unpack_vector",
]  # fmt: skip
