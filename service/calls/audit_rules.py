"""What the audit log of a tenant records of each call. The table of methods names these rules.

A call that changes something is recorded before (intent) and after (outcome). A call that returns sensitive data is
recorded before its response is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from afterimage.v1.collection_service_pb2 import PicturePolicy
from index import filter_fields
from service.audit.chain import Details

Outcome = Callable[[Any, Any], Details | None]  # of request and response; None: nothing to record
Intent = Callable[[Any], Details | None]  # of the request; None: it changes nothing
Reads = Callable[[Any], Iterable[tuple[str, str]]]  # of the request: collections, and the filters they are read by
_MOST_NAME = 80


@dataclass(frozen=True)
class AuditRule:
    """Rule of one method.

    - `intent`: details of the intended change; None: the call only returns data.
    - `outcome`: details of the result.
    """

    action: str
    outcome: Outcome
    intent: Intent | None = None


def _listed(request: Any, response: Any) -> Details | None:
    return {"collection": request.collection, "vectors": len(response.records)} if request.include_vectors else None


def _searched(request: Any, response: Any) -> Details | None:
    if not request.include_vectors:
        return None
    hits = list(response.hits) + [hit for group in response.groups for hit in group.hits]
    return {"collection": request.collection, "vectors": len(hits)}


def _searched_many(request: Any, response: Any) -> Details | None:
    found = [_searched(q, r.response) for q, r in zip(request.searches, response.results, strict=True)]
    vectors = sum(int(t["vectors"]) for t in found if t)
    return {"searches": len(found), "vectors": vectors} if any(found) else None


def _linked(request: Any, response: Any) -> Details | None:
    """Counts the links; none were handed out where no picture is stored."""
    links = sum(bool(link.url) for link in response.links)
    return {"collection": request.collection, "links": links} if links else None


def _source_updated(request: Any, response: Any) -> Details:
    source = {"source": response.source.source_id}
    changed = {"changed_origins": response.changed_origins, "dropped_secrets": response.dropped_secrets}
    return source | {name: ",".join(values) for name, values in changed.items() if values}


def _handed_out(action: str, outcome: Outcome) -> AuditRule:
    return AuditRule(action, outcome)


def _change(action: str, intent: Callable[[Any], Details], outcome: Outcome | None = None) -> AuditRule:
    """Makes a rule whose outcome is its intent, unless `outcome` adds details."""
    return AuditRule(action, outcome or (lambda q, _: intent(q)), intent)


def _forced(action: str, intent: Callable[[Any], Details], outcome: Outcome) -> AuditRule:
    """Makes a rule for a method that only reports what it would do unless `force` is set."""
    return AuditRule(action, outcome, lambda q: intent(q) if q.force else None)


def _policy(value: Any) -> str:
    return PicturePolicy.Name(value).removeprefix("PICTURE_POLICY_") if value in PicturePolicy.values() else str(value)


def _named(name: str, field: str = "") -> Callable[[Any], Details]:
    return lambda q: {name: _short(getattr(q, field or name))}


def _short(text: str) -> str:
    """Truncates a name that a caller sent. It may not be a valid name."""
    return text[:_MOST_NAME]


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


def _policy_set(request: Any, response: Any) -> Details | None:
    if not response.changed:
        return None
    return {"collection": request.collection, "to": _policy(response.policy), "version": response.policy_version}


CREATE_COLLECTION = _change(
    "collection.create",
    lambda q: {"collection": _short(q.collection.name)},
    lambda q, r: {
        "collection": r.collection.name,
        "encoder": r.collection.encoder_id,
        "pictures": _policy(r.collection.picture_policy),
    },
)
UPDATE_COLLECTION = _change("collection.update", _named("collection", "name"))
TUNE_COLLECTION = AuditRule(
    "collection.tune",
    lambda q, r: {"collection": q.name, "undo": q.undo, "changed": r.changed} if q.apply or q.undo else None,
    lambda q: {"collection": _short(q.name)} if q.apply or q.undo else None,
)
CALIBRATE_COLLECTION = AuditRule(
    "collection.calibrate",
    lambda q, r: {"collection": q.name, "pairs": r.pair_count} if q.apply else None,
    lambda q: {"collection": _short(q.name)} if q.apply else None,
)
DELETE_COLLECTION = _forced(
    "collection.delete",
    _named("collection", "name"),
    lambda q, r: {
        "collection": q.name,
        "records": r.record_count,
        **({"snapshots": r.snapshot_count} if q.with_snapshots else {}),
    },
)


def _saved(request: Any) -> Details:
    return {"collection": _short(request.collection), "saved_search": _short(request.saved_search.name)}


def _saved_version(request: Any, response: Any) -> Details:
    made = response.saved_search
    return {"collection": request.collection, "saved_search": made.name, "version": made.version}


def _named_saved(request: Any) -> Details:
    return {"collection": _short(request.collection), "saved_search": _short(request.name)}


CREATE_SAVED_SEARCH = _change("saved_search.create", _saved, _saved_version)
UPDATE_SAVED_SEARCH = _change("saved_search.update", _saved, _saved_version)
RESTORE_SAVED_SEARCH = _change(
    "saved_search.restore",
    lambda q: {**_named_saved(q), "version": q.version},
    lambda q, r: {**_saved_version(q, r), "restored": q.version},
)
DELETE_SAVED_SEARCH = _change(
    "saved_search.delete", _named_saved, lambda q, r: {**_named_saved(q), "versions": r.version_count}
)
DELETE_RECORDS = _forced(
    "records.delete",
    _named("collection"),
    lambda q, r: {"collection": q.collection, "records": r.record_count},
)
JUDGE_PAIRS = _change(
    "pairs.judge",
    _named("collection"),
    lambda q, r: {"collection": q.collection, "changed": sum(result.changed for result in r.results)},
)
CLEAR_FEEDBACK = _change(
    "feedback.clear", _named("collection"), lambda q, r: {"collection": q.collection, "judged": r.count}
)
LIST_VECTORS = _handed_out("vectors.return", _listed)
SEARCH_VECTORS = _handed_out("vectors.return", _searched)
BATCH_SEARCH_VECTORS = _handed_out("vectors.return", _searched_many)
ENCODE_VECTORS = _handed_out("vectors.return", lambda q, r: {"vectors": len(r.pictures), "encoder": r.encoder_id})
GET_PICTURE_LINK = _handed_out("picture.link", lambda q, _: {"collection": q.collection})
GET_PICTURE_LINKS = _handed_out("picture.link", _linked)
SET_PICTURE_POLICY = _change(
    "picture.policy", lambda q: {"collection": _short(q.collection), "to": _policy(q.policy)}, _policy_set
)
CREATE_TRAINING_SET = _change("training_set.create", _named("training_set", "name"))
DELETE_TRAINING_SET = _forced("erasure", lambda q: {"what": "training set", "collection": _short(q.name)}, _erased)
DELETE_EXAMPLES = _change(
    "examples.delete",
    _named("training_set"),
    lambda q, r: {"training_set": q.training_set, "examples": r.example_count},
)
GET_EXAMPLE_LINK = _handed_out("example.link", lambda q, _: {"training_set": q.training_set})
TRAIN_MODEL = _change(
    "model.train",
    lambda q: {"training_set": _short(q.training_set), "model": _short(q.model_name)},
    lambda q, r: {
        "training_set": q.training_set,
        "model": r.training.encoder_id,
        "training": r.training.training_id,
    },
)
CANCEL_TRAINING = _change("training.cancel", _named("training", "training_id"))
DELETE_MODEL = _forced("model.delete", _named("model", "encoder_id"), lambda q, r: {"model": q.encoder_id})
ERASE_RECORDS = _change("erasure", lambda q: {"what": "records", "collection": _short(q.collection)}, _erased)
ERASE_COLLECTION = _change("erasure", lambda q: {"what": "collection", "collection": _short(q.name)}, _erased)
CREATE_SNAPSHOT = _change(
    "snapshot.create",
    _named("collection"),
    lambda q, r: {"collection": q.collection, "snapshot": r.snapshot.snapshot_id},
)
RESTORE_SNAPSHOT = _change(
    "snapshot.restore",
    lambda q: {**_snapshot(q), "target": _short(q.target or q.collection)},
    lambda q, r: {"collection": r.collection, "snapshot": q.snapshot_id, "records": r.record_count},
)
DELETE_SNAPSHOT = _change("snapshot.delete", _snapshot)
REBUILD_INDEX = _change("index.rebuild", _named("collection"))
EXCHANGE_COLLECTIONS = _change("collections.exchange", _two("collection", "other"))
CREATE_SOURCE = _change("source.create", _source, lambda q, r: {"source": r.source.source_id})
DELETE_SOURCE = _change("source.delete", _named("source"), lambda q, r: {"source": q.source, "records": r.record_count})
START_RUN = _change("run.start", _named("source"), lambda q, r: {"run": r.run.run_id, "dry_run": q.dry_run})
APPROVE_RUN = _change("run.approve", _named("run", "run_id"))
CANCEL_RUN = _change("run.cancel", _named("run", "run_id"))
UNDO_DELETIONS = _change("run.undo", _named("run", "run_id"), lambda q, r: {"run": q.run_id, "records": r.record_count})
RETRY_FAILURES = _change("run.retry", _named("source"), lambda q, r: {"run": r.run.run_id, "records": r.failure_count})
ROTATE_PUSH_SECRET = _change("source.rotate_push_secret", _named("source"))
PUSH_ITEM = _change("source.push", _named("source"), lambda q, r: {"source": q.source, "outcome": r.outcome})
UPDATE_SOURCE = _change("source.update", _source, _source_updated)
SET_SEARCH_REPORT = _change("search_report.set", lambda q: {"collection": _short(q.collection), "enabled": q.enabled})
SET_READ_AUDIT = _change("audit.reads", lambda q: {"every_minutes": q.every_minutes})
APPROVE_ACCESS = _change("access.approve", _named("request", "request_id"))
DECLINE_ACCESS = _change("access.decline", _named("request", "request_id"))
REVOKE_ACCESS = _change("access.revoke", _named("request", "request_id"))


def read_collection(request: Any) -> Iterable[tuple[str, str]]:
    """Returns the collection of a read by ids."""
    return [(request.collection, "")]


def read_filtered(request: Any) -> Iterable[tuple[str, str]]:
    """Returns the collection and the filter of a read by a filter."""
    return [(request.collection, request.filter)]


def read_batch(request: Any) -> Iterable[tuple[str, str]]:
    """Returns the collections and filters of a batch of reads."""
    return [(search.collection, search.filter) for search in request.searches]


def read_two(request: Any) -> Iterable[tuple[str, str]]:
    """Returns the collections and filters of two reads."""
    return [(search.collection, search.filter) for search in (request.first, request.second)]


def read_details(name: str, reads: Reads, request: Any) -> list[Details]:
    """Returns the details of a read for tenants that record reads: the collection, the method, and the field names of
    the filter."""
    return [
        {
            "collection": _short(collection), "call": name,
            "fields": ",".join(sorted(filter_fields(filter_text))),
        }
        for collection, filter_text in reads(request)
    ]  # fmt: skip
