"""Which calls leave entries in the tenant's audit log, and what these say.

A call that changes something leaves its intent before, and its outcome after; one that hands something out leaves an
entry before the answer goes. A test compares this table with the API: a call is in it, or is listed there as one that
needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from afterimage.v1.collection_service_pb2 import PicturePolicy
from index import filter_fields
from service.audit.chain import Details

_PACKAGE = "/afterimage.v1."
Told = Callable[[Any, Any], Details | None]  # of request and response; None: nothing to tell
Intends = Callable[[Any], Details | None]  # of the request; None: it changes nothing


@dataclass(frozen=True)
class Rule:
    """Of one method. intends: what a change is about to do; None: the call only hands something out. told: what was
    done, or handed out."""

    action: str
    told: Told
    intends: Intends | None = None


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


def _handed_out(action: str, told: Told) -> Rule:
    return Rule(action, told)


def _change(action: str, intends: Callable[[Any], Details], told: Told | None = None) -> Rule:
    """What was done is what was intended, unless `told` says more."""
    return Rule(action, told or (lambda q, _: intends(q)), intends)


def _forced(action: str, intends: Callable[[Any], Details], told: Told) -> Rule:
    """Without `force` the call only says what it would do."""
    return Rule(action, told, lambda q: intends(q) if q.force else None)


def _policy(value: Any) -> str:
    return PicturePolicy.Name(value).removeprefix("PICTURE_POLICY_") if value in PicturePolicy.values() else str(value)


def _named(name: str, field: str = "") -> Callable[[Any], Details]:
    return lambda q: {name: _short(getattr(q, field or name))}


def _short(text: str) -> str:
    """What a caller sent as a name need not be one."""
    return text[:80]


def _two(one: str, other: str) -> Callable[[Any], Details]:
    return lambda q: {one: _short(getattr(q, one)), other: _short(getattr(q, other))}


def _source(request: Any) -> Details:
    given = request.source
    return {"source": _short(given.source_id or given.name), "collection": _short(given.collection)}


def _snapshot(request: Any) -> Details:
    return {"collection": _short(request.collection), "snapshot": _short(request.snapshot_id)}


def _erased(request: Any, response: Any) -> Details:
    said = response.receipt
    return {"what": said.what, "collection": said.collection, "records": said.records, "receipt": said.receipt_id}


def _policy_told(request: Any, response: Any) -> Details | None:
    if not response.changed:
        return None
    return {"collection": request.collection, "to": _policy(response.policy), "version": response.policy_version}


_RULES: dict[str, Rule] = {
    "CollectionService/CreateCollection": _change(
        "collection.create",
        lambda q: {"collection": _short(q.collection.name)},
        lambda q, r: {
            "collection": r.collection.name,
            "encoder": r.collection.encoder_id,
            "pictures": _policy(r.collection.picture_policy),
        },
    ),
    "CollectionService/UpdateCollection": _change("collection.update", _named("collection", "name")),
    "CollectionService/DeleteCollection": _forced(
        "collection.delete",
        _named("collection", "name"),
        lambda q, r: {
            "collection": q.name,
            "records": r.record_count,
            **({"snapshots": r.snapshot_count} if q.with_snapshots else {}),
        },
    ),
    "RecordService/DeleteRecords": _forced(
        "records.delete",
        _named("collection"),
        lambda q, r: {"collection": q.collection, "records": r.record_count},
    ),
    "RecordService/GetRecords": _handed_out("vectors.return", _listed),
    "RecordService/ListRecords": _handed_out("vectors.return", _listed),
    "SearchService/Search": _handed_out("vectors.return", _searched),
    "SearchService/BatchSearch": _handed_out("vectors.return", _searched_many),
    "SearchService/Encode": _handed_out(
        "vectors.return", lambda q, r: {"vectors": len(r.pictures), "encoder": r.encoder_id}
    ),
    "PictureService/GetPictureLink": _handed_out("picture.link", lambda q, _: {"collection": q.collection}),
    "PictureService/SetPicturePolicy": _change(
        "picture.policy", lambda q: {"collection": _short(q.collection), "to": _policy(q.policy)}, _policy_told
    ),
    "TrainingService/CreateTrainingSet": _change("training_set.create", _named("training_set", "name")),
    "TrainingService/DeleteTrainingSet": _forced(
        "erasure", lambda q: {"what": "training set", "collection": _short(q.name)}, _erased
    ),
    "TrainingService/DeleteExamples": _change(
        "examples.delete",
        _named("training_set"),
        lambda q, r: {"training_set": q.training_set, "examples": r.example_count},
    ),
    "TrainingService/GetExampleLink": _handed_out("example.link", lambda q, _: {"training_set": q.training_set}),
    "TrainingService/TrainModel": _change(
        "model.train",
        lambda q: {"training_set": _short(q.training_set), "model": _short(q.model_name)},
        lambda q, r: {
            "training_set": q.training_set,
            "model": r.training.encoder_id,
            "training": r.training.training_id,
        },
    ),
    "TrainingService/CancelTraining": _change("training.cancel", _named("training", "training_id")),
    "TrainingService/DeleteModel": _forced(
        "model.delete", _named("model", "encoder_id"), lambda q, r: {"model": q.encoder_id}
    ),
    "ErasureService/EraseRecords": _change(
        "erasure", lambda q: {"what": "records", "collection": _short(q.collection)}, _erased
    ),
    "ErasureService/EraseCollection": _change(
        "erasure", lambda q: {"what": "collection", "collection": _short(q.name)}, _erased
    ),
    "AdminService/CreateSnapshot": _change(
        "snapshot.create",
        _named("collection"),
        lambda q, r: {"collection": q.collection, "snapshot": r.snapshot.snapshot_id},
    ),
    "AdminService/RestoreSnapshot": _change(
        "snapshot.restore",
        lambda q: {**_snapshot(q), "target": _short(q.target or q.collection)},
        lambda q, r: {"collection": r.collection, "snapshot": q.snapshot_id, "records": r.record_count},
    ),
    "AdminService/DeleteSnapshot": _change("snapshot.delete", _snapshot),
    "AdminService/RebuildIndex": _change("index.rebuild", _named("collection")),
    "AdminService/ExchangeCollections": _change("collections.exchange", _two("collection", "other")),
    "SyncService/CreateSource": _change("source.create", _source, lambda q, r: {"source": r.source.source_id}),
    "SyncService/DeleteSource": _change(
        "source.delete", _named("source"), lambda q, r: {"source": q.source, "records": r.record_count}
    ),
    "SyncService/StartRun": _change(
        "run.start", _named("source"), lambda q, r: {"run": r.run.run_id, "dry_run": q.dry_run}
    ),
    "SyncService/ApproveRun": _change("run.approve", _named("run", "run_id")),
    "SyncService/CancelRun": _change("run.cancel", _named("run", "run_id")),
    "SyncService/UndoDeletions": _change(
        "run.undo", _named("run", "run_id"), lambda q, r: {"run": q.run_id, "records": r.record_count}
    ),
    "SyncService/RetryFailures": _change(
        "run.retry", _named("source"), lambda q, r: {"run": r.run.run_id, "records": r.failure_count}
    ),
    "SyncService/UpdateSource": _change("source.update", _source, _source_updated),
}
_RULES["AuditService/SetReadAudit"] = _change("audit.reads", lambda q: {"every_minutes": q.every_minutes})
_RULES |= {
    f"AccessService/{method}Access": _change(f"access.{method.lower()}", _named("request", "request_id"))
    for method in ("Approve", "Decline", "Revoke")
}
Reads = Callable[[Any], Iterable[tuple[str, str]]]  # of the request: collections, and the filters that they are read by


def _read(request: Any) -> Iterable[tuple[str, str]]:
    filter_text = request.filter if "filter" in request.DESCRIPTOR.fields_by_name else ""
    return [(request.collection, filter_text)]


_READS: dict[str, Reads] = {
    "SearchService/Search": _read,
    "SearchService/BatchSearch": lambda q: [(s.collection, s.filter) for s in q.searches],
    "SearchService/FindDuplicates": _read,
    "SearchService/Classify": _read,
    "RecordService/GetRecords": _read,
    "RecordService/ListRecords": _read,
    "RecordService/CountRecords": _read,
}


def read_details(method: str, request: Any) -> list[Details]:
    """What is told of a read where the tenant wants reads told: collection, call, names of the fields of its filter."""
    reads = READS.get(method)
    return [
        {
            "collection": _short(collection), "call": method.rpartition("/")[2],
            "fields": ",".join(sorted(filter_fields(filter_text))),
        }
        for collection, filter_text in (reads(request) if reads is not None else ())
    ]  # fmt: skip


READS = {_PACKAGE + name: reads for name, reads in _READS.items()}
AUDITED = {_PACKAGE + name: rule for name, rule in _RULES.items()}
