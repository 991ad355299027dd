"""The answer of a call that was made, though its answer was lost with the process that made it: read again.

A row for each method whose outcome the tenant's data shows (`service.outcomes`). Counts of what a deletion deleted are
lost with the process, and are 0.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from afterimage.v1 import access_service_pb2 as access
from afterimage.v1 import admin_service_pb2 as admin
from afterimage.v1 import collection_service_pb2 as collections
from afterimage.v1 import saved_search_service_pb2 as saved
from afterimage.v1 import sync_service_pb2 as sync
from afterimage.v1 import training_service_pb2 as training
from service.calls.method import Method
from service.errors import Reason, ServiceError

Call = Callable[[str, Any], Awaitable[Any]]  # of a method, by its name, and a request
Rebuild = Callable[[Call, Any, int], Awaitable[Any]]  # of a request, and the time of the first call in milliseconds


async def rebuilt(method: Method, request: Any, time_ms: int, call: Call) -> Any:
    """Returns the answer of a call that was made at a time. Raises ServiceError."""
    found = REBUILDS.get(method.name)
    if found is None:
        raise unknown_outcome()
    return await found(call, request, time_ms)


def unknown_outcome() -> ServiceError:
    """The error for a call of which nobody can say whether it was made."""
    message = "the server stopped during the first call, and its outcome is unknown; look, then use another key"
    return ServiceError(Reason.IDEMPOTENCY_OUTCOME_UNKNOWN, message, field="idempotency-key")


async def _collection(call: Call, request: Any, _: int) -> Any:
    name = request.collection.name
    found = await call("CollectionService/GetCollection", collections.GetCollectionRequest(name=name))
    return collections.CreateCollectionResponse(collection=found.collection)


async def _snapshot(call: Call, request: Any, time_ms: int) -> Any:
    wanted = admin.ListSnapshotsRequest(collection=request.collection)
    found = (await call("AdminService/ListSnapshots", wanted)).snapshots
    return admin.CreateSnapshotResponse(snapshot=_first(found, time_ms))


async def _source(call: Call, request: Any, _: int) -> Any:
    found = await call("SyncService/GetSource", sync.GetSourceRequest(source=request.source.name))
    return sync.CreateSourceResponse(source=found.source)


async def _started(call: Call, request: Any, time_ms: int) -> Any:
    return sync.StartRunResponse(run=await _run(call, request.source, time_ms))


async def _retried(call: Call, request: Any, time_ms: int) -> Any:
    return sync.RetryFailuresResponse(run=await _run(call, request.source, time_ms))


async def _run(call: Call, source: str, time_ms: int) -> Any:
    found = (await call("SyncService/ListRuns", sync.ListRunsRequest(source=source, page_size=200))).runs
    return _first([run for run in found if run.trigger != "schedule"], time_ms)


async def _approved_run(call: Call, request: Any, _: int) -> Any:
    found = await call("SyncService/GetRun", sync.GetRunRequest(run_id=request.run_id))
    return sync.ApproveRunResponse(run=found.run)


async def _training_set(call: Call, request: Any, _: int) -> Any:
    found = await call("TrainingService/GetTrainingSet", training.GetTrainingSetRequest(name=request.name))
    return training.CreateTrainingSetResponse(training_set=found.training_set)


async def _training(call: Call, request: Any, time_ms: int) -> Any:
    found = (await call("TrainingService/ListTrainings", training.ListTrainingsRequest())).trainings
    made = [t for t in found if t.training_set == request.training_set and t.encoder_id.endswith(request.model_name)]
    return training.TrainModelResponse(training=_first(made, time_ms))


async def _cancelled(call: Call, request: Any, _: int) -> Any:
    wanted = training.GetTrainingRequest(training_id=request.training_id)
    return training.CancelTrainingResponse(training=(await call("TrainingService/GetTraining", wanted)).training)


def _saved(response: Any) -> Rebuild:
    async def rebuild(call: Call, request: Any, _: int) -> Any:
        name = request.name if hasattr(request, "name") else request.saved_search.name
        wanted = saved.GetSavedSearchRequest(collection=request.collection, name=name)
        found = await call("SavedSearchService/GetSavedSearch", wanted)
        return response(saved_search=found.saved_search)

    return rebuild


def _access(response: Any) -> Rebuild:
    async def rebuild(call: Call, request: Any, _: int) -> Any:
        found = await call("AccessService/ListAccessRequests", access.ListAccessRequestsRequest())
        return response(request=next(r for r in found.requests if r.request_id == request.request_id))

    return rebuild


def _fixed(answer: Any) -> Rebuild:
    async def rebuild(call: Call, request: Any, _: int) -> Any:
        return answer

    return rebuild


async def _erased(call: Call, request: Any, _: int) -> Any:
    """Calls again: what was erased is not there, and the receipt that nobody has received is handed out."""
    return await call("ErasureService/EraseCollection", request)


def _first(found: Any, time_ms: int) -> Any:
    """Of what was made at or after a time, the oldest. Raises ServiceError where it is gone."""
    made = [one for one in found if one.create_time.ToMilliseconds() >= time_ms]
    if not made:
        raise unknown_outcome()
    return min(made, key=lambda one: one.create_time.ToMilliseconds())


REBUILDS: Mapping[str, Rebuild] = {
    "CollectionService/CreateCollection": _collection,
    "CollectionService/DeleteCollection": _fixed(collections.DeleteCollectionResponse(deleted=True)),
    "SavedSearchService/CreateSavedSearch": _saved(saved.CreateSavedSearchResponse),
    "SavedSearchService/UpdateSavedSearch": _saved(saved.UpdateSavedSearchResponse),
    "SavedSearchService/RestoreSavedSearch": _saved(saved.RestoreSavedSearchResponse),
    "SavedSearchService/DeleteSavedSearch": _fixed(saved.DeleteSavedSearchResponse()),
    "SyncService/CreateSource": _source,
    "SyncService/DeleteSource": _fixed(sync.DeleteSourceResponse()),
    "SyncService/StartRun": _started,
    "SyncService/ApproveRun": _approved_run,
    "SyncService/RetryFailures": _retried,
    "AdminService/CreateSnapshot": _snapshot,
    "AdminService/DeleteSnapshot": _fixed(admin.DeleteSnapshotResponse()),
    "TrainingService/CreateTrainingSet": _training_set,
    "TrainingService/TrainModel": _training,
    "TrainingService/CancelTraining": _cancelled,
    "ErasureService/EraseCollection": _erased,
    "AccessService/ApproveAccess": _access(access.ApproveAccessResponse),
    "AccessService/DeclineAccess": _access(access.DeclineAccessResponse),
    "AccessService/RevokeAccess": _access(access.RevokeAccessResponse),
}
