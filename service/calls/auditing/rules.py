"""What the audit log of a tenant records of each call. The table of methods names these rules.

A call that changes something is recorded before (intent) and after (outcome). A call that returns sensitive data is
recorded before its response is sent.
"""

from __future__ import annotations

from typing import Any

from afterimage.v1.collection_service_pb2 import PicturePolicy
from service.audit.chain import Details
from service.calls.auditing.rule import AuditRule, change, forced, handed_out, named, short, two


def _encoded(request: Any, response: Any) -> Details:
    return {"vectors": len(response.pictures) + len(response.texts), "encoder": response.encoder_id}


def _listed(request: Any, response: Any) -> Details | None:
    return {"collection": request.collection, "vectors": len(response.records)} if request.include_vectors else None


def _searched(request: Any, response: Any) -> Details | None:
    if not request.include_vectors:
        return None
    answers = [response, *response.objects]
    hits = [h for a in answers for h in (*a.hits, *(hit for group in a.groups for hit in group.hits))]
    return {"collection": request.collection, "vectors": len(hits)}


def _searched_many(request: Any, response: Any) -> Details | None:
    if not any(search.include_vectors for search in request.searches):
        return None  # the response may be encoded already
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


def _policy(value: Any) -> str:
    return PicturePolicy.Name(value).removeprefix("PICTURE_POLICY_") if value in PicturePolicy.values() else str(value)


def _source(request: Any) -> Details:
    given = request.source
    return {"source": short(given.source_id or given.name), "collection": short(given.collection)}


def _snapshot(request: Any) -> Details:
    return {"collection": short(request.collection), "snapshot": short(request.snapshot_id)}


def _erased(request: Any, response: Any) -> Details:
    said = response.receipt
    return {"what": said.what, "collection": said.collection, "records": said.records, "receipt": said.receipt_id}


def _policy_set(request: Any, response: Any) -> Details | None:
    if not response.changed:
        return None
    return {"collection": request.collection, "to": _policy(response.policy), "version": response.policy_version}


CREATE_COLLECTION = change(
    "collection.create",
    lambda q: {"collection": short(q.collection.name)},
    lambda q, r: {
        "collection": r.collection.name,
        "encoder": r.collection.encoder_id,
        "pictures": _policy(r.collection.picture_policy),
    },
)
UPDATE_COLLECTION = change("collection.update", named("collection", "name"))
TUNE_COLLECTION = AuditRule(
    "collection.tune",
    lambda q, r: {"collection": q.name, "undo": q.undo, "changed": r.changed} if q.apply or q.undo else None,
    lambda q: {"collection": short(q.name)} if q.apply or q.undo else None,
)
CALIBRATE_COLLECTION = AuditRule(
    "collection.calibrate",
    lambda q, r: {"collection": q.name, "pairs": r.pair_count} if q.apply else None,
    lambda q: {"collection": short(q.name)} if q.apply else None,
)
DELETE_COLLECTION = forced(
    "collection.delete",
    named("collection", "name"),
    lambda q, r: {
        "collection": q.name,
        "records": r.record_count,
        **({"snapshots": r.snapshot_count} if q.with_snapshots else {}),
    },
)


def _saved(request: Any) -> Details:
    return {"collection": short(request.collection), "saved_search": short(request.saved_search.name)}


def _saved_version(request: Any, response: Any) -> Details:
    made = response.saved_search
    return {"collection": request.collection, "saved_search": made.name, "version": made.version}


def _named_saved(request: Any) -> Details:
    return {"collection": short(request.collection), "saved_search": short(request.name)}


CREATE_SAVED_SEARCH = change("saved_search.create", _saved, _saved_version)
UPDATE_SAVED_SEARCH = change("saved_search.update", _saved, _saved_version)
RESTORE_SAVED_SEARCH = change(
    "saved_search.restore",
    lambda q: {**_named_saved(q), "version": q.version},
    lambda q, r: {**_saved_version(q, r), "restored": q.version},
)
DELETE_SAVED_SEARCH = change(
    "saved_search.delete", _named_saved, lambda q, r: {**_named_saved(q), "versions": r.version_count}
)
DELETE_RECORDS = forced(
    "records.delete",
    named("collection"),
    lambda q, r: {"collection": q.collection, "records": r.record_count},
)
JUDGE_PAIRS = change(
    "pairs.judge",
    named("collection"),
    lambda q, r: {"collection": q.collection, "changed": sum(result.changed for result in r.results)},
)
CLEAR_FEEDBACK = change(
    "feedback.clear", named("collection"), lambda q, r: {"collection": q.collection, "judged": r.count}
)
LIST_VECTORS = handed_out("vectors.return", _listed)
SEARCH_VECTORS = handed_out("vectors.return", _searched)
BATCH_SEARCH_VECTORS = handed_out("vectors.return", _searched_many)
ENCODE_VECTORS = handed_out("vectors.return", _encoded)
GET_PICTURE_LINK = handed_out("picture.link", lambda q, _: {"collection": q.collection})
GET_PICTURE_LINKS = handed_out("picture.link", _linked)
SET_PICTURE_POLICY = change(
    "picture.policy", lambda q: {"collection": short(q.collection), "to": _policy(q.policy)}, _policy_set
)
CREATE_TRAINING_SET = change("training_set.create", named("training_set", "name"))
DELETE_TRAINING_SET = forced("erasure", lambda q: {"what": "training set", "collection": short(q.name)}, _erased)
DELETE_EXAMPLES = change(
    "examples.delete",
    named("training_set"),
    lambda q, r: {"training_set": q.training_set, "examples": r.example_count},
)
GET_EXAMPLE_LINK = handed_out("example.link", lambda q, _: {"training_set": q.training_set})
TRAIN_MODEL = change(
    "model.train",
    lambda q: {"training_set": short(q.training_set), "model": short(q.model_name)},
    lambda q, r: {
        "training_set": q.training_set,
        "model": r.training.encoder_id,
        "training": r.training.training_id,
    },
)
CANCEL_TRAINING = change("training.cancel", named("training", "training_id"))
DELETE_MODEL = forced("model.delete", named("model", "encoder_id"), lambda q, r: {"model": q.encoder_id})
ERASE_RECORDS = change("erasure", lambda q: {"what": "records", "collection": short(q.collection)}, _erased)
ERASE_COLLECTION = change("erasure", lambda q: {"what": "collection", "collection": short(q.name)}, _erased)
CREATE_SNAPSHOT = change(
    "snapshot.create",
    named("collection"),
    lambda q, r: {"collection": q.collection, "snapshot": r.snapshot.snapshot_id},
)
RESTORE_SNAPSHOT = change(
    "snapshot.restore",
    lambda q: {**_snapshot(q), "target": short(q.target or q.collection)},
    lambda q, r: {"collection": r.collection, "snapshot": q.snapshot_id, "records": r.record_count},
)
DELETE_SNAPSHOT = change("snapshot.delete", _snapshot)
REBUILD_INDEX = change("index.rebuild", named("collection"))
EXCHANGE_COLLECTIONS = change("collections.exchange", two("collection", "other"))
CREATE_SOURCE = change("source.create", _source, lambda q, r: {"source": r.source.source_id})
DELETE_SOURCE = change("source.delete", named("source"), lambda q, r: {"source": q.source, "records": r.record_count})
START_RUN = change("run.start", named("source"), lambda q, r: {"run": r.run.run_id, "dry_run": q.dry_run})
APPROVE_RUN = change("run.approve", named("run", "run_id"))
CANCEL_RUN = change("run.cancel", named("run", "run_id"))
UNDO_DELETIONS = change("run.undo", named("run", "run_id"), lambda q, r: {"run": q.run_id, "records": r.record_count})
RETRY_FAILURES = change("run.retry", named("source"), lambda q, r: {"run": r.run.run_id, "records": r.failure_count})
ROTATE_PUSH_SECRET = change("source.rotate_push_secret", named("source"))
PUSH_ITEM = change("source.push", named("source"), lambda q, r: {"source": q.source, "outcome": r.outcome})
UPDATE_SOURCE = change("source.update", _source, _source_updated)
SET_SEARCH_REPORT = change("search_report.set", lambda q: {"collection": short(q.collection), "enabled": q.enabled})
SET_READ_AUDIT = change("audit.reads", lambda q: {"every_minutes": q.every_minutes})
APPROVE_ACCESS = change("access.approve", named("request", "request_id"))
DECLINE_ACCESS = change("access.decline", named("request", "request_id"))
REVOKE_ACCESS = change("access.revoke", named("request", "request_id"))
