"""Which scope each call needs. A call that is not listed is refused; a test compares this with the services."""

from __future__ import annotations

from service.tenancy.apikeys import Scope

_PACKAGE = "/afterimage.v1."

# None: any valid key.
SCOPES: dict[str, Scope | None] = {
    f"{_PACKAGE}{method}": scope
    for method, scope in {
        "CollectionService/CreateCollection": Scope.INSERT,
        "CollectionService/GetCollection": None,
        "CollectionService/ListCollections": None,
        "CollectionService/UpdateCollection": Scope.INSERT,
        "CollectionService/DeleteCollection": Scope.DELETE,
        "RecordService/InsertRecords": Scope.INSERT,
        "RecordService/ImportRecords": Scope.INSERT,
        "RecordService/GetRecords": Scope.SEARCH,
        "RecordService/ListRecords": Scope.SEARCH,
        "RecordService/UpdateRecords": Scope.INSERT,
        "RecordService/DeleteRecords": Scope.DELETE,
        "RecordService/CountRecords": Scope.SEARCH,
        "SearchService/Search": Scope.SEARCH,
        "SearchService/BatchSearch": Scope.SEARCH,
        "SearchService/FindDuplicates": Scope.SEARCH,
        "SearchService/Encode": Scope.EXPORT,
        "SearchService/Classify": Scope.SEARCH,
        "SearchService/Rank": Scope.SEARCH,
        "ServerInfoService/GetServerInfo": None,
        **{
            f"SyncService/{name}": Scope.SYNC
            for name in (
                "CreateSource",
                "GetSource",
                "ListSources",
                "UpdateSource",
                "DeleteSource",
                "PreviewFeed",
                "StartRun",
                "GetRun",
                "ListRuns",
                "WatchRun",
                "ApproveRun",
                "CancelRun",
                "UndoDeletions",
                "ListFailures",
                "RetryFailures",
            )
        },
        "AdminService/CreateSnapshot": Scope.ADMIN,
        "AdminService/ListSnapshots": Scope.ADMIN,
        "AdminService/RestoreSnapshot": Scope.ADMIN,
        "AdminService/VerifySnapshot": Scope.ADMIN,
        "AdminService/DeleteSnapshot": Scope.ADMIN,
        "AdminService/GetIndexStats": Scope.ADMIN,
        "AdminService/RebuildIndex": Scope.ADMIN,
        "AdminService/VerifyIndex": Scope.ADMIN,
        "AdminService/ExchangeCollections": Scope.ADMIN,
        "AdminService/GetUsage": Scope.ADMIN,
        "PictureService/SetPicturePolicy": Scope.ADMIN,
        "PictureService/GetPictureLink": Scope.PICTURES,
        **{
            f"TrainingService/{name}": Scope.TRAIN
            for name in (
                "CreateTrainingSet",
                "ListTrainingSets",
                "GetTrainingSet",
                "DeleteTrainingSet",
                "AddExamples",
                "ListExamples",
                "DeleteExamples",
                "GetExampleLink",
                "TrainModel",
                "ListTrainings",
                "GetTraining",
                "WatchTraining",
                "CancelTraining",
                "ListModels",
                "DeleteModel",
            )
        },
        "ErasureService/EraseRecords": Scope.DELETE,
        "ErasureService/EraseCollection": Scope.DELETE,
        "AccessService/ListAccessRequests": Scope.ADMIN,
        "AccessService/ApproveAccess": Scope.ADMIN,
        "AccessService/DeclineAccess": Scope.ADMIN,
        "AccessService/RevokeAccess": Scope.ADMIN,
        "AuditService/ListAuditEntries": Scope.AUDIT,
        "AuditService/GetAuditHead": Scope.AUDIT,
        "AuditService/GetReadAudit": Scope.AUDIT,
        "AuditService/SetReadAudit": Scope.ADMIN,
    }.items()
}

# Made by workers on other machines, with the secret that they share with the server. No API key may.
WORKER_CALLS = frozenset(f"{_PACKAGE}WorkerService/{name}" for name in ("GetQueue", "WorkOnRun"))

# Answered without a key.
OPEN_PREFIXES = ("/grpc.health.v1.Health/", "/grpc.reflection.")

# Streams that live as long as the client wishes, and work that grows with a collection.
WITHOUT_DEADLINE = frozenset(
    f"{_PACKAGE}{method}"
    for method in (
        "RecordService/ImportRecords",
        "SearchService/FindDuplicates",
        "SyncService/WatchRun",
        "TrainingService/AddExamples",
        "TrainingService/WatchTraining",
        "TrainingService/DeleteTrainingSet",
        "WorkerService/WorkOnRun",
        "ErasureService/EraseRecords",
        "PictureService/SetPicturePolicy",
        "AdminService/CreateSnapshot",
        "AdminService/RestoreSnapshot",
        "AdminService/VerifySnapshot",
        "AdminService/RebuildIndex",
        "AdminService/VerifyIndex",
    )
)
