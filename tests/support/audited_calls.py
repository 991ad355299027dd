"""A case for each audited call of the API: preconditions, request, and how to check whether it was done."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from afterimage.client import Client, NewExample, NewRecord, NewSource, NotFound, Term
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
    sync_service_pb2,
    training_service_pb2,
)
from index import DataDirectory
from service.encoder import builtin
from service.encoder.manifest import OWN_PREFIX
from service.sync.ledger import Ledger
from service.sync.model import Run, RunState, SyncPlan
from service.tenancy.access import WantedAccess
from service.tenancy.apikeys import Scope
from service.training.model import OwnModel, TrainingRequest
from service.training.store import TrainingStore
from tests.support.data.pictures import png
from tests.support.servers.server import Server

DIMENSION = 384
COPY = "ENCRYPTED_COPY"
_MANIFEST = Path(builtin.__file__).with_name("encoder.json")
_MODULES = (
    access_service_pb2,
    admin_service_pb2,
    audit_service_pb2,
    collection_service_pb2,
    erasure_service_pb2,
    picture_service_pb2,
    record_service_pb2,
    saved_search_service_pb2,
    search_service_pb2,
    sync_service_pb2,
    training_service_pb2,
)


@dataclass
class World:
    """A tenant on a server, and its databases opened by the tests."""

    server: Server
    tenant: str
    key: str
    client: Client
    uid: str
    ledger: Ledger
    store: TrainingStore

    def furnish(self) -> None:
        """Creates what the cases share."""
        client = self.client
        client.create_collection("shared")
        client.create_collection("copies", picture_policy=COPY)
        client.insert("copies", [NewRecord("1", image=png(1))])
        client.create_training_set("set")
        list(client.add_examples("set", [NewExample("e", "l", image=png(2))]))
        client.create_source(NewSource("feed", "shared", "file:missing.csv"))

    def source_id(self) -> str:
        return self.ledger.source("feed").source_id

    def run(self, number: int, state: RunState) -> str:
        made = Run(f"run{number:08}", f"source{number}", "shared", state=state, plan=SyncPlan(digest="d"))
        return self.ledger.add_run(made).run_id

    def access(self, number: int, *, approved: bool = False) -> str:
        with self.server.registry() as registry:
            wanted = WantedAccess(f"ticket {number}", frozenset({Scope.SEARCH}), 10)
            made = registry.access.ask(self.uid, wanted).request_id
            if approved:
                registry.access.decide(self.uid, made, approved=True)
            return made

    def access_state(self, request_id: str) -> str:
        with self.server.registry() as registry:
            return registry.access.one(self.uid, request_id).stored_state

    def exists(self, collection: str) -> bool:
        try:
            self.client.get_collection(collection)
        except NotFound:
            return False
        return True


@contextlib.contextmanager
def world(server: Server, tenant: str, client: Client, key: str) -> Iterator[World]:
    """A tenant, and its databases opened in addition to the server's."""
    with server.registry() as registry:
        uid = registry.tenant(tenant).uid
        data_key = registry.data_key(uid)
    layout = DataDirectory(server.data_dir).tenant(uid)
    ledger, store = Ledger(layout.sync, data_key), TrainingStore(layout.training, data_key)
    try:
        yield World(server, tenant, key, client, uid, ledger, store)
    finally:
        ledger.close()
        store.close()


def call(channel: grpc.Channel, method: str, request: Any, key: str, timeout_s: float) -> Any:
    """A call in progress, as returned by grpc."""
    service, name = method.split("/")[1:]
    module = next(m for m in _MODULES if service.split(".")[-1] in m.DESCRIPTOR.services_by_name)
    made = channel.unary_unary(
        method,
        request_serializer=type(request).SerializeToString,
        response_deserializer=getattr(module, f"{name}Response").FromString,
    )
    return made.future(request, timeout=timeout_s, metadata=(("authorization", f"Bearer {key}"),))


@dataclass(frozen=True)
class Case:
    """A case of an audited call.

    `ready`: creates what call number n needs, and its request. `done`: whether the call was done; None: it only returns
    something, or that cannot be observed.
    """

    ready: Callable[[World, int], Any]
    done: Callable[[World, int, Any], bool] | None = None


def _made(prefix: str, request: Callable[[str], Any], **how: Any) -> Callable[[World, int], Any]:
    """A request about a collection of its own."""

    def ready(world: World, number: int) -> Any:
        name = f"{prefix}{number}"
        world.client.create_collection(name, **how)
        return request(name)

    return ready


def _record(world: World, number: int) -> str:
    record_id = f"r{number}"
    world.client.insert("shared", [NewRecord(record_id, vector=[1.0] + [0.0] * (DIMENSION - 1))])
    return record_id


def _holds(world: World, record_id: str) -> bool:
    return bool(world.client.get_records("shared", [record_id])[0])


def _pair(world: World, number: int) -> search_service_pb2.PairJudgement:
    one, other = _record(world, number), _record(world, -1 - number)
    different = search_service_pb2.PAIR_VERDICT_DIFFERENT
    return search_service_pb2.PairJudgement(record_id=one, other_record_id=other, verdict=different)


def _judged(world: World, number: int) -> str:
    name = f"judged{number}"
    world.client.create_collection(name, keep_feedback=True)
    world.client.insert(name, [NewRecord("r", vector=[1.0] + [0.0] * (DIMENSION - 1))])
    world.client.add_feedback(name, Term(record_id="r"), liked=["r"])
    return name


def _weighed(world: World, number: int) -> str:
    name = f"weighed{number}"
    world.client.create_collection(name)
    world.client.update_collection(name, default_emphasis={"colour": 2})
    return name


def _calibration(world: World, number: int) -> Any:
    name = f"calibrated{number}"
    world.client.create_collection(name)
    axes = ([1.0] + [0.0] * (DIMENSION - 1), [0.0] * (DIMENSION - 1) + [1.0])
    world.client.insert(name, [NewRecord(str(n), vector=axis) for n, axis in enumerate(axes)])
    labelled = [("0", "0", True)] * 20 + [("0", "1", False)] * 20
    pairs = [
        collection_service_pb2.LabelledPair(first_record_id=a, second_record_id=b, same_product=same)
        for a, b, same in labelled
    ]
    return collection_service_pb2.CalibrateCollectionRequest(name=name, pairs=pairs, apply=True)


def _snapshots(world: World, collection: str) -> list[str]:
    return [s.snapshot_id for s in world.client.list_snapshots(collection)]


def _set(world: World, number: int) -> str:
    name = f"set{number}"
    world.client.create_training_set(name)
    list(world.client.add_examples(name, [NewExample("e", "l", image=png(number % 50))]))
    return name


def _sets(world: World) -> dict[str, int]:
    return {s.name: s.examples for s in world.store.sets()}


def _model(world: World, number: int) -> str:
    name = f"{OWN_PREFIX}m{number}"
    training = world.store.create_training(TrainingRequest("set", "base", name))
    manifest = json.dumps({**json.loads(_MANIFEST.read_text()), "id": name})
    model = OwnModel(name, "base", "set", manifest, {}, f"{number:032x}", 1)
    assert world.store.publish(model, training)
    return name


def _exchanged(world: World, number: int) -> Any:
    for name in (f"one{number}", f"two{number}"):
        world.client.create_collection(name, description=name)
    return admin_service_pb2.ExchangeCollectionsRequest(collection=f"one{number}", other=f"two{number}")


def _a_source(world: World, number: int) -> str:
    name = f"feed{number}"
    world.client.create_source(NewSource(name, "shared", "file:missing.csv"))
    return name


def _sources(world: World) -> dict[str, bool]:
    return {s.config.name: s.config.paused for s in world.ledger.sources()}


def _runs(world: World, source: str) -> int:
    return len(world.ledger.runs(world.ledger.source(source).source_id))


def _access_case(request: Any, state: str, *, approved: bool = False) -> Case:
    return Case(
        lambda w, n: request(request_id=w.access(n, approved=approved)),
        lambda w, n, q: w.access_state(q.request_id) == state,
    )


def _run_of(state: RunState, request: Callable[[str], Any]) -> Callable[[World, int], Any]:
    return lambda w, n: request(w.run(n, state))


def _saved(world: World, number: int) -> str:
    name = f"s{number}"
    world.client.create_saved_search("shared", name, {"k": 5})
    return name


def _versions(world: World, number: int) -> int:
    return len(world.client.saved_search_versions("shared", f"s{number}"))


_EXPORTED: dict[str, Any] = {"include_vectors": True}
_HALF = [search_service_pb2.QueryTerm(record_id="1", weight=1.0)]

_CASES: dict[str, Case] = {
    "CollectionService/CreateCollection": Case(
        lambda w, n: collection_service_pb2.CreateCollectionRequest(
            collection=collection_service_pb2.Collection(name=f"new{n}")
        ),
        lambda w, n, _: w.exists(f"new{n}"),
    ),
    "CollectionService/UpdateCollection": Case(
        _made("u", lambda name: collection_service_pb2.UpdateCollectionRequest(name=name, description="changed")),
        lambda w, n, _: w.client.get_collection(f"u{n}").description == "changed",
    ),
    "CollectionService/TuneCollection": Case(
        lambda w, n: collection_service_pb2.TuneCollectionRequest(name=_weighed(w, n), undo=True),
        lambda w, n, q: not w.client.get_collection(q.name).default_emphasis,
    ),
    "CollectionService/CalibrateCollection": Case(
        _calibration,
        lambda w, n, q: "PAIRS" in str(w.client.get_collection(q.name).calibration),
    ),
    "CollectionService/DeleteCollection": Case(
        _made("d", lambda name: collection_service_pb2.DeleteCollectionRequest(name=name, force=True)),
        lambda w, n, _: not w.exists(f"d{n}"),
    ),
    "RecordService/DeleteRecords": Case(
        lambda w, n: record_service_pb2.DeleteRecordsRequest(
            collection="shared", record_ids=[_record(w, n)], force=True
        ),
        lambda w, n, _: not _holds(w, f"r{n}"),
    ),
    "RecordService/GetRecords": Case(
        lambda w, n: record_service_pb2.GetRecordsRequest(collection="copies", record_ids=["1"], **_EXPORTED)
    ),
    "RecordService/ListRecords": Case(
        lambda w, n: record_service_pb2.ListRecordsRequest(collection="copies", **_EXPORTED)
    ),
    "RecordService/SampleRecords": Case(
        lambda w, n: record_service_pb2.SampleRecordsRequest(collection="copies", count=1, **_EXPORTED)
    ),
    "SearchService/Search": Case(
        lambda w, n: search_service_pb2.SearchRequest(collection="copies", query=_HALF, k=1, **_EXPORTED)
    ),
    "SearchService/BatchSearch": Case(
        lambda w, n: search_service_pb2.BatchSearchRequest(
            searches=[search_service_pb2.SearchRequest(collection="copies", query=_HALF, k=1, **_EXPORTED)]
        )
    ),
    "SearchService/Encode": Case(
        lambda w, n: search_service_pb2.EncodeRequest(pictures=[search_service_pb2.PictureInput(image=png(n % 50))])
    ),
    "SearchService/JudgePairs": Case(
        lambda w, n: search_service_pb2.JudgePairsRequest(collection="shared", judgements=[_pair(w, n)]),
        lambda w, n, _: bool(w.client.judged_pairs_page("shared", record_id=f"r{n}")[0]),
    ),
    "SearchService/ClearFeedback": Case(
        lambda w, n: search_service_pb2.ClearFeedbackRequest(collection=_judged(w, n)),
        lambda w, n, q: not w.client.get_feedback(q.collection).liked.count,
    ),
    "SavedSearchService/CreateSavedSearch": Case(
        lambda w, n: saved_search_service_pb2.CreateSavedSearchRequest(
            collection="shared", saved_search=saved_search_service_pb2.SavedSearch(name=f"new{n}")
        ),
        lambda w, n, _: f"new{n}" in [s.name for s in w.client.saved_searches("shared")],
    ),
    "SavedSearchService/UpdateSavedSearch": Case(
        lambda w, n: saved_search_service_pb2.UpdateSavedSearchRequest(
            collection="shared", saved_search=saved_search_service_pb2.SavedSearch(name=_saved(w, n))
        ),
        lambda w, n, _: _versions(w, n) > 1,
    ),
    "SavedSearchService/RestoreSavedSearch": Case(
        lambda w, n: saved_search_service_pb2.RestoreSavedSearchRequest(
            collection="shared", name=_saved(w, n), version=1
        ),
        lambda w, n, _: _versions(w, n) > 1,
    ),
    "SavedSearchService/DeleteSavedSearch": Case(
        lambda w, n: saved_search_service_pb2.DeleteSavedSearchRequest(collection="shared", name=_saved(w, n)),
        lambda w, n, q: q.name not in [s.name for s in w.client.saved_searches("shared")],
    ),
    "PictureService/GetPictureLink": Case(
        lambda w, n: picture_service_pb2.GetPictureLinkRequest(collection="copies", record_id="1")
    ),
    "PictureService/GetPictureLinks": Case(
        lambda w, n: picture_service_pb2.GetPictureLinksRequest(collection="copies", record_ids=["1"])
    ),
    "PictureService/SetPicturePolicy": Case(
        _made(
            "p",
            lambda name: picture_service_pb2.SetPicturePolicyRequest(
                collection=name, policy=collection_service_pb2.PICTURE_POLICY_DISCARD, force=True
            ),
            picture_policy=COPY,
        ),
        lambda w, n, _: w.client.get_collection(f"p{n}").picture_policy == "DISCARD",
    ),
    "TrainingService/CreateTrainingSet": Case(
        lambda w, n: training_service_pb2.CreateTrainingSetRequest(name=f"made{n}"),
        lambda w, n, _: f"made{n}" in _sets(w),
    ),
    "TrainingService/DeleteTrainingSet": Case(
        lambda w, n: training_service_pb2.DeleteTrainingSetRequest(name=_set(w, n), force=True),
        lambda w, n, _: f"set{n}" not in _sets(w),
    ),
    "TrainingService/DeleteExamples": Case(
        lambda w, n: training_service_pb2.DeleteExamplesRequest(training_set=_set(w, n), example_ids=["e"]),
        lambda w, n, _: _sets(w)[f"set{n}"] == 0,
    ),
    "TrainingService/GetExampleLink": Case(
        lambda w, n: training_service_pb2.GetExampleLinkRequest(training_set="set", example_id="e")
    ),
    "TrainingService/TrainModel": Case(
        lambda w, n: training_service_pb2.TrainModelRequest(training_set="set", model_name=f"t{n}"),
        lambda w, n, _: any(t.request.model_name == f"{OWN_PREFIX}t{n}" for t in w.store.trainings()),
    ),
    "TrainingService/CancelTraining": Case(
        lambda w, n: training_service_pb2.CancelTrainingRequest(
            training_id=w.store.create_training(TrainingRequest("set", "base", f"{OWN_PREFIX}c{n}")).training_id
        ),
        lambda w, n, q: str(w.store.training(q.training_id).state) == "cancelled",  # type: ignore[union-attr]
    ),
    "TrainingService/DeleteModel": Case(
        lambda w, n: training_service_pb2.DeleteModelRequest(encoder_id=_model(w, n), force=True),
        lambda w, n, q: q.encoder_id not in [m.encoder_id for m in w.store.models()],
    ),
    "ErasureService/EraseRecords": Case(
        lambda w, n: erasure_service_pb2.EraseRecordsRequest(collection="shared", record_ids=[_record(w, n)]),
        lambda w, n, _: not _holds(w, f"r{n}"),
    ),
    "ErasureService/EraseCollection": Case(
        _made("e", lambda name: erasure_service_pb2.EraseCollectionRequest(name=name)),
        lambda w, n, _: not w.exists(f"e{n}"),
    ),
    "AdminService/CreateSnapshot": Case(
        _made("s", lambda name: admin_service_pb2.CreateSnapshotRequest(collection=name)),
        lambda w, n, _: bool(_snapshots(w, f"s{n}")),
    ),
    "AdminService/RestoreSnapshot": Case(
        _made("f", lambda name: name),
        lambda w, n, _: w.exists(f"restored{n}"),
    ),
    "AdminService/DeleteSnapshot": Case(
        _made("g", lambda name: name),
        lambda w, n, q: q.snapshot_id not in _snapshots(w, f"g{n}"),
    ),
    "AdminService/RebuildIndex": Case(lambda w, n: admin_service_pb2.RebuildIndexRequest(collection="shared")),
    "AdminService/SetSearchReport": Case(
        _made("q", lambda name: admin_service_pb2.SetSearchReportRequest(collection=name, enabled=False)),
        lambda w, n, _: not w.client.search_report(f"q{n}").enabled,
    ),
    "AdminService/ExchangeCollections": Case(
        _exchanged, lambda w, n, _: w.client.get_collection(f"one{n}").description == f"two{n}"
    ),
    "SyncService/CreateSource": Case(
        lambda w, n: sync_service_pb2.CreateSourceRequest(
            source=sync_service_pb2.Source(name=f"new{n}", collection="shared", url="file:missing.csv")
        ),
        lambda w, n, _: f"new{n}" in _sources(w),
    ),
    "SyncService/UpdateSource": Case(
        lambda w, n: sync_service_pb2.UpdateSourceRequest(
            source=sync_service_pb2.Source(
                name=_a_source(w, n), collection="shared", url="file:missing.csv", paused=True
            )
        ),
        lambda w, n, _: _sources(w)[f"feed{n}"],
    ),
    "SyncService/DeleteSource": Case(
        lambda w, n: sync_service_pb2.DeleteSourceRequest(source=_a_source(w, n)),
        lambda w, n, q: q.source not in _sources(w),
    ),
    "SyncService/StartRun": Case(
        lambda w, n: sync_service_pb2.StartRunRequest(source=_a_source(w, n)),
        lambda w, n, q: _runs(w, q.source) > 0,
    ),
    "SyncService/ApproveRun": Case(
        _run_of(
            RunState.AWAITING_APPROVAL,
            lambda run_id: sync_service_pb2.ApproveRunRequest(run_id=run_id, plan_digest="d"),
        ),
        lambda w, n, q: bool(w.ledger.run(q.run_id).approved),
    ),
    "SyncService/CancelRun": Case(
        _run_of(RunState.AWAITING_APPROVAL, lambda run_id: sync_service_pb2.CancelRunRequest(run_id=run_id)),
        lambda w, n, q: w.ledger.run(q.run_id).state is RunState.CANCELLED,
    ),
    "SyncService/UndoDeletions": Case(
        _run_of(RunState.SUCCEEDED, lambda run_id: sync_service_pb2.UndoDeletionsRequest(run_id=run_id))
    ),
    "SyncService/RetryFailures": Case(
        lambda w, n: sync_service_pb2.RetryFailuresRequest(source=_a_source(w, n)),
        lambda w, n, q: _runs(w, q.source) > 0,
    ),
    "SyncService/RotatePushSecret": Case(
        lambda w, n: sync_service_pb2.RotatePushSecretRequest(source=_a_source(w, n)),
    ),
    "SyncService/PushItem": Case(
        lambda w, n: sync_service_pb2.PushItemRequest(source=_a_source(w, n), delete_item_id="1"),
    ),
    "AuditService/SetReadAudit": Case(
        lambda w, n: audit_service_pb2.SetReadAuditRequest(every_minutes=1 + n % 1440),
        lambda w, n, q: w.client.read_audit() == q.every_minutes,
    ),
    "AccessService/ApproveAccess": _access_case(access_service_pb2.ApproveAccessRequest, "approved"),
    "AccessService/DeclineAccess": _access_case(access_service_pb2.DeclineAccessRequest, "declined"),
    "AccessService/RevokeAccess": _access_case(access_service_pb2.RevokeAccessRequest, "revoked", approved=True),
}


def _of_snapshot(case: Case, request: Callable[[str, str, int], Any]) -> Case:
    """A request about a snapshot of the collection that the case makes."""

    def ready(world: World, number: int) -> Any:
        name = case.ready(world, number)
        return request(name, world.client.create_snapshot(name).snapshot_id, number)

    return Case(ready, case.done)


_CASES["AdminService/RestoreSnapshot"] = _of_snapshot(
    _CASES["AdminService/RestoreSnapshot"],
    lambda name, snapshot, n: admin_service_pb2.RestoreSnapshotRequest(
        collection=name, snapshot_id=snapshot, target=f"restored{n}"
    ),
)
_CASES["AdminService/DeleteSnapshot"] = _of_snapshot(
    _CASES["AdminService/DeleteSnapshot"],
    lambda name, snapshot, n: admin_service_pb2.DeleteSnapshotRequest(collection=name, snapshot_id=snapshot),
)
CASES = {f"/afterimage.v1.{name}": case for name, case in _CASES.items()}
