"""The friendly path of each RPC, by the conventions of google.api.http: beside `service.calls.methods`, one table.

Names in braces are fields of the request; a dot leads into a message. The other fields come from the body or, where
there is none, from the query string. A request with a picture as its body takes all of them from the query string.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.calls.method import Caller, Method
from service.calls.methods import METHODS


@dataclass(frozen=True)
class Path:
    """A row. rpc: as `SearchService/Search`. verb: of HTTP. body: the field that the body is; empty: the request.
    pictures: the list whose items hold a picture each, where pictures can be sent as bytes. one_picture: a single
    field with a picture, beside that list."""

    rpc: str
    verb: str
    template: str
    body: str = ""
    pictures: str = ""
    one_picture: str = ""


_COLLECTION, _SNAPSHOT = "/v1/collections/{collection}", "/v1/collections/{collection}/snapshots/{snapshot_id}"
_SAVED = f"{_COLLECTION}/saved-searches"
_RECORDS, _EXAMPLES = f"{_COLLECTION}/records", "/v1/training-sets/{training_set}/examples"

PATHS: tuple[Path, ...] = (
    Path("CollectionService/CreateCollection", "POST", "/v1/collections", body="collection"),
    Path("CollectionService/GetCollection", "GET", "/v1/collections/{name}"),
    Path("CollectionService/ListCollections", "GET", "/v1/collections"),
    Path("CollectionService/UpdateCollection", "PATCH", "/v1/collections/{name}"),
    Path("CollectionService/DeleteCollection", "DELETE", "/v1/collections/{name}"),
    Path("CollectionService/TuneCollection", "POST", "/v1/collections/{name}:tune"),
    Path("CollectionService/CalibrateCollection", "POST", "/v1/collections/{name}:calibrate"),
    Path("RecordService/InsertRecords", "POST", f"{_RECORDS}:insert", pictures="records"),
    Path("RecordService/ImportRecords", "POST", f"{_RECORDS}:import"),
    Path("RecordService/GetRecords", "POST", f"{_RECORDS}:get"),
    Path("RecordService/ListRecords", "GET", _RECORDS),
    Path("RecordService/SampleRecords", "GET", f"{_RECORDS}:sample"),
    Path("RecordService/UpdateRecords", "POST", f"{_RECORDS}:update"),
    Path("RecordService/DeleteRecords", "POST", f"{_RECORDS}:delete"),
    Path("RecordService/CountRecords", "GET", f"{_RECORDS}:count"),
    Path("SearchService/Search", "POST", f"{_COLLECTION}:search", pictures="query"),
    Path("SearchService/BatchSearch", "POST", "/v1/search:batch"),
    Path("SearchService/CompareSearches", "POST", "/v1/search:compare", pictures="query"),
    Path("SearchService/FindDuplicates", "GET", f"{_COLLECTION}:duplicates"),
    Path("SearchService/Encode", "POST", "/v1/encode", pictures="pictures"),
    Path("SearchService/DetectObjects", "POST", "/v1/objects:detect", pictures="pictures"),
    Path("SearchService/Classify", "POST", f"{_COLLECTION}:classify", pictures="query"),
    Path("SearchService/Rank", "POST", "/v1/rank", pictures="pictures", one_picture="query"),
    Path("SearchService/JudgePairs", "POST", f"{_COLLECTION}/judged-pairs:judge"),
    Path("SearchService/ListJudgedPairs", "GET", f"{_COLLECTION}/judged-pairs"),
    Path("SearchService/AddFeedback", "POST", f"{_COLLECTION}/feedback:add", pictures="query"),
    Path("SearchService/GetFeedback", "GET", f"{_COLLECTION}/feedback"),
    Path("SearchService/ClearFeedback", "DELETE", f"{_COLLECTION}/feedback"),
    Path("SearchService/ProjectRecords", "GET", f"{_RECORDS}:project"),
    Path("SavedSearchService/CreateSavedSearch", "POST", _SAVED, body="saved_search"),
    Path("SavedSearchService/GetSavedSearch", "GET", f"{_SAVED}/{{name}}"),
    Path("SavedSearchService/ListSavedSearches", "GET", _SAVED),
    Path("SavedSearchService/UpdateSavedSearch", "PUT", f"{_SAVED}/{{saved_search.name}}", body="saved_search"),
    Path("SavedSearchService/ListSavedSearchVersions", "GET", f"{_SAVED}/{{name}}/versions"),
    Path("SavedSearchService/RestoreSavedSearch", "POST", f"{_SAVED}/{{name}}:restore"),
    Path("SavedSearchService/DeleteSavedSearch", "DELETE", f"{_SAVED}/{{name}}"),
    Path("ServerInfoService/GetServerInfo", "GET", "/v1/server"),
    Path("SyncService/CreateSource", "POST", "/v1/sources", body="source"),
    Path("SyncService/GetSource", "GET", "/v1/sources/{source}"),
    Path("SyncService/ListSources", "GET", "/v1/sources"),
    Path("SyncService/UpdateSource", "PUT", "/v1/sources/{source.name}", body="source"),
    Path("SyncService/DeleteSource", "DELETE", "/v1/sources/{source}"),
    Path("SyncService/PreviewFeed", "POST", "/v1/feeds:preview"),
    Path("SyncService/StartRun", "POST", "/v1/sources/{source}/runs"),
    Path("SyncService/GetRun", "GET", "/v1/runs/{run_id}"),
    Path("SyncService/ListRuns", "GET", "/v1/runs"),
    Path("SyncService/WatchRun", "GET", "/v1/runs/{run_id}:watch"),
    Path("SyncService/ApproveRun", "POST", "/v1/runs/{run_id}:approve"),
    Path("SyncService/CancelRun", "POST", "/v1/runs/{run_id}:cancel"),
    Path("SyncService/UndoDeletions", "POST", "/v1/runs/{run_id}:undo"),
    Path("SyncService/ListFailures", "GET", "/v1/sources/{source}/failures"),
    Path("SyncService/RetryFailures", "POST", "/v1/sources/{source}/failures:retry"),
    Path("SyncService/PushItem", "POST", "/v1/sources/{source}:push"),
    Path("SyncService/RotatePushSecret", "POST", "/v1/sources/{source}:rotatePushSecret"),
    Path("AdminService/CreateSnapshot", "POST", f"{_COLLECTION}/snapshots"),
    Path("AdminService/ListSnapshots", "GET", f"{_COLLECTION}/snapshots"),
    Path("AdminService/RestoreSnapshot", "POST", f"{_SNAPSHOT}:restore"),
    Path("AdminService/VerifySnapshot", "POST", f"{_SNAPSHOT}:verify"),
    Path("AdminService/DeleteSnapshot", "DELETE", _SNAPSHOT),
    Path("AdminService/GetIndexStats", "GET", f"{_COLLECTION}/index"),
    Path("AdminService/RebuildIndex", "POST", f"{_COLLECTION}/index:rebuild"),
    Path("AdminService/VerifyIndex", "POST", f"{_COLLECTION}/index:verify"),
    Path("AdminService/ExchangeCollections", "POST", f"{_COLLECTION}:exchange"),
    Path("AdminService/GetUsage", "GET", "/v1/usage"),
    Path("AdminService/GetSearchReport", "GET", f"{_COLLECTION}/search-report"),
    Path("AdminService/SetSearchReport", "PUT", f"{_COLLECTION}/search-report"),
    Path("AdminService/GetPrivacyReport", "GET", "/v1/privacy"),
    Path("PictureService/SetPicturePolicy", "PUT", f"{_COLLECTION}/picture-policy"),
    Path("PictureService/GetPictureLink", "GET", f"{_RECORDS}/{{record_id}}/picture-link"),
    Path("PictureService/GetPictureLinks", "POST", f"{_RECORDS}:picture-links"),
    Path("TrainingService/CreateTrainingSet", "POST", "/v1/training-sets"),
    Path("TrainingService/ListTrainingSets", "GET", "/v1/training-sets"),
    Path("TrainingService/GetTrainingSet", "GET", "/v1/training-sets/{name}"),
    Path("TrainingService/DeleteTrainingSet", "DELETE", "/v1/training-sets/{name}"),
    Path("TrainingService/AddExamples", "POST", f"{_EXAMPLES}:add"),
    Path("TrainingService/ListExamples", "GET", _EXAMPLES),
    Path("TrainingService/DeleteExamples", "POST", f"{_EXAMPLES}:delete"),
    Path("TrainingService/GetExampleLink", "GET", f"{_EXAMPLES}/{{example_id}}/link"),
    Path("TrainingService/TrainModel", "POST", "/v1/training-sets/{training_set}:train"),
    Path("TrainingService/ListTrainings", "GET", "/v1/trainings"),
    Path("TrainingService/GetTraining", "GET", "/v1/trainings/{training_id}"),
    Path("TrainingService/WatchTraining", "GET", "/v1/trainings/{training_id}:watch"),
    Path("TrainingService/CancelTraining", "POST", "/v1/trainings/{training_id}:cancel"),
    Path("TrainingService/ListModels", "GET", "/v1/own-models"),
    Path("TrainingService/DeleteModel", "DELETE", "/v1/own-models/{encoder_id}"),
    Path("ErasureService/EraseRecords", "POST", f"{_RECORDS}:erase"),
    Path("ErasureService/EraseCollection", "POST", "/v1/collections/{name}:erase"),
    Path("AccessService/ListAccessRequests", "GET", "/v1/access-requests"),
    Path("AccessService/ApproveAccess", "POST", "/v1/access-requests/{request_id}:approve"),
    Path("AccessService/DeclineAccess", "POST", "/v1/access-requests/{request_id}:decline"),
    Path("AccessService/RevokeAccess", "POST", "/v1/access-requests/{request_id}:revoke"),
    Path("AuditService/ListAuditEntries", "GET", "/v1/audit/entries"),
    Path("AuditService/GetAuditHead", "GET", "/v1/audit/head"),
    Path("AuditService/GetReadAudit", "GET", "/v1/audit/reads"),
    Path("AuditService/SetReadAudit", "PUT", "/v1/audit/reads"),
)


def served(methods: Mapping[str, Method] = METHODS) -> dict[str, Method]:
    """The methods that HTTP serves, by name: those of tenants. Workers speak gRPC."""
    return {m.name: m for m in methods.values() if m.row.caller is not Caller.WORKER}


def differing(paths: Iterable[Path]) -> set[str]:
    """Names of methods without a path, and of paths without a method."""
    return {path.rpc for path in paths} ^ served().keys()
