"""The table of methods: a row for each RPC of the API.

A row defines who may call, what a call does, how long it may take and what the audit log records. Everything around a
call, whatever its transport, follows from it. Messages and kind come from the protos. `service.calls.handlers` binds
the handler. The server does not start if an RPC has no row.

gRPC's own services, health and reflection, are not in the table: `service.rpc.transport.open_calls` limits them.
"""

from __future__ import annotations

from collections.abc import Mapping

from afterimage.v1 import (
    access_service_pb2,
    admin_service_pb2,
    audit_service_pb2,
    collection_service_pb2,
    erasure_service_pb2,
    picture_service_pb2,
    record_service_pb2,
    saved_search_service_pb2,
    search_service_pb2,
    server_info_service_pb2,
    sync_service_pb2,
    training_service_pb2,
    worker_service_pb2,
)
from service.calls.auditing import reads
from service.calls.auditing import rules as audit
from service.calls.method import Caller, Deadline, Effect, Method, Row, by_path, methods_of
from service.tenancy.apikeys import Scope

_IDEMPOTENT, _NOT_IDEMPOTENT = Effect.IDEMPOTENT, Effect.NOT_IDEMPOTENT
_OPEN = Deadline.OPEN

METHODS: Mapping[str, Method] = by_path(
    methods_of(
        collection_service_pb2,
        Row("CreateCollection", Scope.INSERT, _NOT_IDEMPOTENT, audit=audit.CREATE_COLLECTION),
        Row("GetCollection", Caller.ANY_KEY),
        Row("ListCollections", Caller.ANY_KEY),
        Row("UpdateCollection", Scope.INSERT, _IDEMPOTENT, audit=audit.UPDATE_COLLECTION),
        Row("DeleteCollection", Scope.DELETE, _NOT_IDEMPOTENT, audit=audit.DELETE_COLLECTION),
        Row("TuneCollection", Scope.INSERT, _NOT_IDEMPOTENT, _OPEN, audit.TUNE_COLLECTION),
        Row("CalibrateCollection", Scope.INSERT, _IDEMPOTENT, _OPEN, audit.CALIBRATE_COLLECTION),
    ),
    methods_of(
        record_service_pb2,
        Row("InsertRecords", Scope.INSERT, _IDEMPOTENT),
        Row("ImportRecords", Scope.INSERT, _IDEMPOTENT, _OPEN),
        Row("GetRecords", Scope.SEARCH, audit=audit.LIST_VECTORS, reads=reads.read_collection),
        Row("ListRecords", Scope.SEARCH, audit=audit.LIST_VECTORS, reads=reads.read_filtered),
        Row("SampleRecords", Scope.SEARCH, audit=audit.LIST_VECTORS, reads=reads.read_filtered),
        Row("UpdateRecords", Scope.INSERT, _IDEMPOTENT),
        Row("DeleteRecords", Scope.DELETE, _IDEMPOTENT, audit=audit.DELETE_RECORDS),
        Row("CountRecords", Scope.SEARCH, reads=reads.read_filtered),
    ),
    methods_of(
        search_service_pb2,
        Row("Search", Scope.SEARCH, audit=audit.SEARCH_VECTORS, reads=reads.read_filtered),
        Row("BatchSearch", Scope.SEARCH, audit=audit.BATCH_SEARCH_VECTORS, reads=reads.read_batch),
        Row("CompareSearches", Scope.SEARCH, reads=reads.read_two),
        Row("FindDuplicates", Scope.SEARCH, deadline=_OPEN, reads=reads.read_filtered),
        Row("Encode", Scope.EXPORT, audit=audit.ENCODE_VECTORS),
        Row("DetectObjects", Scope.SEARCH),
        Row("Classify", Scope.SEARCH, reads=reads.read_filtered),
        Row("Rank", Scope.SEARCH),
        Row("JudgePairs", Scope.INSERT, _IDEMPOTENT, audit=audit.JUDGE_PAIRS),
        Row("ListJudgedPairs", Scope.SEARCH, reads=reads.read_collection),
        Row("AddFeedback", Scope.SEARCH, _NOT_IDEMPOTENT),
        Row("GetFeedback", Scope.ADMIN),
        Row("ClearFeedback", Scope.DELETE, _IDEMPOTENT, audit=audit.CLEAR_FEEDBACK),
        Row("ProjectRecords", Scope.SEARCH, reads=reads.read_filtered),
    ),
    methods_of(
        saved_search_service_pb2,
        Row("CreateSavedSearch", Scope.INSERT, _NOT_IDEMPOTENT, audit=audit.CREATE_SAVED_SEARCH),
        Row("GetSavedSearch", Scope.SEARCH),
        Row("ListSavedSearches", Scope.SEARCH),
        Row("UpdateSavedSearch", Scope.INSERT, _NOT_IDEMPOTENT, audit=audit.UPDATE_SAVED_SEARCH),
        Row("ListSavedSearchVersions", Scope.SEARCH),
        Row("RestoreSavedSearch", Scope.INSERT, _NOT_IDEMPOTENT, audit=audit.RESTORE_SAVED_SEARCH),
        Row("DeleteSavedSearch", Scope.DELETE, _NOT_IDEMPOTENT, audit=audit.DELETE_SAVED_SEARCH),
    ),
    methods_of(server_info_service_pb2, Row("GetServerInfo", Caller.ANY_KEY)),
    methods_of(
        sync_service_pb2,
        Row("CreateSource", Scope.SYNC, _NOT_IDEMPOTENT, audit=audit.CREATE_SOURCE),
        Row("GetSource", Scope.SYNC),
        Row("ListSources", Scope.SYNC),
        Row("UpdateSource", Scope.SYNC, _IDEMPOTENT, audit=audit.UPDATE_SOURCE),
        Row("DeleteSource", Scope.SYNC, _NOT_IDEMPOTENT, audit=audit.DELETE_SOURCE),
        Row("PreviewFeed", Scope.SYNC),
        Row("StartRun", Scope.SYNC, _NOT_IDEMPOTENT, audit=audit.START_RUN),
        Row("GetRun", Scope.SYNC),
        Row("ListRuns", Scope.SYNC),
        Row("WatchRun", Scope.SYNC, deadline=_OPEN),
        Row("ApproveRun", Scope.SYNC, _NOT_IDEMPOTENT, audit=audit.APPROVE_RUN),
        Row("CancelRun", Scope.SYNC, _IDEMPOTENT, audit=audit.CANCEL_RUN),
        Row("UndoDeletions", Scope.SYNC, _IDEMPOTENT, audit=audit.UNDO_DELETIONS),
        Row("ListFailures", Scope.SYNC),
        Row("RetryFailures", Scope.SYNC, _NOT_IDEMPOTENT, audit=audit.RETRY_FAILURES),
        Row("PushItem", Scope.SYNC, _IDEMPOTENT, audit=audit.PUSH_ITEM),
        Row("RotatePushSecret", Scope.SYNC, _NOT_IDEMPOTENT, audit=audit.ROTATE_PUSH_SECRET),
    ),
    methods_of(
        worker_service_pb2,
        Row("GetQueue", Caller.WORKER),
        Row("WorkOnRun", Caller.WORKER, _NOT_IDEMPOTENT, _OPEN),
    ),
    methods_of(
        admin_service_pb2,
        Row("CreateSnapshot", Scope.ADMIN, _NOT_IDEMPOTENT, _OPEN, audit.CREATE_SNAPSHOT),
        Row("ListSnapshots", Scope.ADMIN),
        Row("RestoreSnapshot", Scope.ADMIN, _NOT_IDEMPOTENT, _OPEN, audit.RESTORE_SNAPSHOT),
        Row("VerifySnapshot", Scope.ADMIN, deadline=_OPEN),
        Row("DeleteSnapshot", Scope.ADMIN, _NOT_IDEMPOTENT, audit=audit.DELETE_SNAPSHOT),
        Row("GetIndexStats", Scope.ADMIN),
        Row("RebuildIndex", Scope.ADMIN, _IDEMPOTENT, _OPEN, audit.REBUILD_INDEX),
        Row("VerifyIndex", Scope.ADMIN, deadline=_OPEN),
        Row("ExchangeCollections", Scope.ADMIN, _NOT_IDEMPOTENT, audit=audit.EXCHANGE_COLLECTIONS),
        Row("GetUsage", Scope.ADMIN),
        Row("GetSearchReport", Scope.ADMIN),
        Row("SetSearchReport", Scope.ADMIN, _IDEMPOTENT, audit=audit.SET_SEARCH_REPORT),
        Row("GetPrivacyReport", Scope.ADMIN),
    ),
    methods_of(
        picture_service_pb2,
        Row("SetPicturePolicy", Scope.ADMIN, _IDEMPOTENT, _OPEN, audit.SET_PICTURE_POLICY),
        Row("GetPictureLink", Scope.PICTURES, audit=audit.GET_PICTURE_LINK),
        Row("GetPictureLinks", Scope.PICTURES, audit=audit.GET_PICTURE_LINKS),
    ),
    methods_of(
        training_service_pb2,
        Row("CreateTrainingSet", Scope.TRAIN, _NOT_IDEMPOTENT, audit=audit.CREATE_TRAINING_SET),
        Row("ListTrainingSets", Scope.TRAIN),
        Row("GetTrainingSet", Scope.TRAIN),
        Row("DeleteTrainingSet", Scope.TRAIN, _IDEMPOTENT, _OPEN, audit.DELETE_TRAINING_SET),
        Row("AddExamples", Scope.TRAIN, _IDEMPOTENT, _OPEN),
        Row("ListExamples", Scope.TRAIN),
        Row("DeleteExamples", Scope.TRAIN, _IDEMPOTENT, audit=audit.DELETE_EXAMPLES),
        Row("GetExampleLink", Scope.TRAIN, audit=audit.GET_EXAMPLE_LINK),
        Row("TrainModel", Scope.TRAIN, _NOT_IDEMPOTENT, audit=audit.TRAIN_MODEL),
        Row("ListTrainings", Scope.TRAIN),
        Row("GetTraining", Scope.TRAIN),
        Row("WatchTraining", Scope.TRAIN, deadline=_OPEN),
        Row("CancelTraining", Scope.TRAIN, _NOT_IDEMPOTENT, audit=audit.CANCEL_TRAINING),
        Row("ListModels", Scope.TRAIN),
        Row("DeleteModel", Scope.TRAIN, _IDEMPOTENT, audit=audit.DELETE_MODEL),
    ),
    methods_of(
        erasure_service_pb2,
        Row("EraseRecords", Scope.DELETE, _IDEMPOTENT, _OPEN, audit.ERASE_RECORDS),
        Row("EraseCollection", Scope.DELETE, _NOT_IDEMPOTENT, audit=audit.ERASE_COLLECTION),
    ),
    methods_of(
        access_service_pb2,
        Row("ListAccessRequests", Scope.ADMIN),
        Row("ApproveAccess", Scope.ADMIN, _NOT_IDEMPOTENT, audit=audit.APPROVE_ACCESS),
        Row("DeclineAccess", Scope.ADMIN, _NOT_IDEMPOTENT, audit=audit.DECLINE_ACCESS),
        Row("RevokeAccess", Scope.ADMIN, _NOT_IDEMPOTENT, audit=audit.REVOKE_ACCESS),
    ),
    methods_of(
        audit_service_pb2,
        Row("ListAuditEntries", Scope.AUDIT),
        Row("GetAuditHead", Scope.AUDIT),
        Row("GetReadAudit", Scope.AUDIT),
        Row("SetReadAudit", Scope.ADMIN, _IDEMPOTENT, audit=audit.SET_READ_AUDIT),
    ),
)

SERVICE_NAMES: tuple[str, ...] = tuple(dict.fromkeys(method.service for method in METHODS.values()))
