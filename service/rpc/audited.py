"""Which calls leave an entry in the tenant's audit log, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from afterimage.v1.collection_service_pb2 import PicturePolicy
from service.audit.chain import Details

_PACKAGE = "/afterimage.v1."
Told = Callable[[Any, Any], Details | None]  # of request and response; None: nothing to tell


def _deleted(request: Any, response: Any) -> Details | None:
    if not response.deleted:
        return None  # it only said what would be
    name = request.name if "name" in request.DESCRIPTOR.fields_by_name else request.collection
    return {"collection": name, "records": response.record_count}


def _listed(request: Any, response: Any) -> Details | None:
    return {"collection": request.collection, "vectors": len(response.records)} if request.include_vectors else None


def _searched(request: Any, response: Any) -> Details | None:
    if not request.include_vectors:
        return None
    hits = list(response.hits) + [hit for group in response.groups for hit in group.hits]
    return {"collection": request.collection, "vectors": len(hits)}


def _searched_many(request: Any, response: Any) -> Details | None:
    told = [_searched(q, r.response) for q, r in zip(request.searches, response.results, strict=True)]
    vectors = sum(int(t["vectors"]) for t in told if t)
    return {"searches": len(told), "vectors": vectors} if any(told) else None


def _source_updated(request: Any, response: Any) -> Details:
    told = {"source": response.source.source_id}
    changed = {"changed_origins": response.changed_origins, "dropped_secrets": response.dropped_secrets}
    return told | {name: ",".join(values) for name, values in changed.items() if values}


_ACTIONS: dict[str, tuple[str, Told]] = {
    "CollectionService/CreateCollection": (
        "collection.create",
        lambda q, r: {
            "collection": r.collection.name,
            "encoder": r.collection.encoder_id,
            "pictures": PicturePolicy.Name(r.collection.picture_policy).removeprefix("PICTURE_POLICY_"),
        },
    ),
    "TrainingService/CreateTrainingSet": ("training_set.create", lambda q, _: {"training_set": q.name}),
    "TrainingService/GetExampleLink": ("example.link", lambda q, _: {"training_set": q.training_set}),
    "TrainingService/TrainModel": (
        "model.train",
        lambda q, r: {
            "training_set": q.training_set,
            "model": r.training.encoder_id,
            "training": r.training.training_id,
        },
    ),
    "TrainingService/DeleteModel": ("model.delete", lambda q, r: {"model": q.encoder_id} if r.deleted else None),
    "PictureService/GetPictureLink": ("picture.link", lambda q, _: {"collection": q.collection}),
    "CollectionService/UpdateCollection": ("collection.update", lambda q, _: {"collection": q.name}),
    "CollectionService/DeleteCollection": ("collection.delete", _deleted),
    "RecordService/DeleteRecords": ("records.delete", _deleted),
    "RecordService/GetRecords": ("vectors.return", _listed),
    "RecordService/ListRecords": ("vectors.return", _listed),
    "SearchService/Search": ("vectors.return", _searched),
    "SearchService/BatchSearch": ("vectors.return", _searched_many),
    "SearchService/Encode": ("vectors.return", lambda q, r: {"vectors": len(r.pictures), "encoder": r.encoder_id}),
    "AdminService/CreateSnapshot": (
        "snapshot.create",
        lambda q, r: {"collection": q.collection, "snapshot": r.snapshot.snapshot_id},
    ),
    "AdminService/RestoreSnapshot": (
        "snapshot.restore",
        lambda q, r: {"collection": r.collection, "snapshot": q.snapshot_id, "records": r.record_count},
    ),
    "AdminService/DeleteSnapshot": (
        "snapshot.delete",
        lambda q, _: {"collection": q.collection, "snapshot": q.snapshot_id},
    ),
    "AdminService/ExchangeCollections": (
        "collections.exchange",
        lambda q, _: {"collection": q.collection, "other": q.other},
    ),
    "SyncService/CreateSource": ("source.create", lambda q, r: {"source": r.source.source_id}),
    "SyncService/UpdateSource": ("source.update", _source_updated),
    "SyncService/DeleteSource": ("source.delete", lambda q, r: {"records": r.record_count}),
    "SyncService/ApproveRun": ("run.approve", lambda q, _: {"run": q.run_id}),
    "SyncService/UndoDeletions": ("run.undo", lambda q, r: {"run": q.run_id, "records": r.record_count}),
}
_ACTIONS |= {
    f"AccessService/{method}Access": (f"access.{method.lower()}", lambda q, _: {"request": q.request_id})
    for method in ("Approve", "Decline", "Revoke")
}
AUDITED = {_PACKAGE + name: told for name, told in _ACTIONS.items()}
