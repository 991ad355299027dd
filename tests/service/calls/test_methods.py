import importlib
import pkgutil
from pathlib import Path
from typing import Any

import grpc
import pytest

from afterimage import v1
from afterimage.client import Client, NewRecord, NewSource, NotFound, PermissionDenied, Term, Unauthenticated
from service.calls.method import Caller
from service.calls.methods import METHODS, SERVICE_NAMES
from service.tenancy.apikeys import Scope
from tests.support.data.pictures import png
from tests.support.servers.server import Server, start_server

MODULES = [
    importlib.import_module(f"afterimage.v1.{found.name}")
    for found in pkgutil.iter_modules(v1.__path__) if found.name.endswith("_service_pb2")
]  # fmt: skip
SCOPES = {path: method.row.caller for path, method in METHODS.items() if isinstance(method.row.caller, Scope)}
WITH_KEY = {path for path, method in METHODS.items() if method.row.caller is not Caller.WORKER}
CALLS = [
    (f"/{service.full_name}/{method.name}", method)
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


def invoke(server: Server, path: str, method: Any, key: str, collection: str, run_id: str = "r") -> grpc.StatusCode:
    """Makes a call with little in it; returns the status code."""
    from google.protobuf.message_factory import GetMessageClass

    request: Any = GetMessageClass(method.input_type)()
    for field in ("collection", "name", "training_set"):
        if field in method.input_type.fields_by_name and method.input_type.fields_by_name[field].message_type is None:
            setattr(request, field, collection)
    fields = method.input_type.fields_by_name
    if "run_id" in fields:
        request.run_id = run_id
    if method.name in ("CreateSource", "UpdateSource"):
        request.source.name, request.source.collection = "feed", collection
        request.source.url = "https://shop.example/feed"
    elif "source" in fields:
        request.source = "feed"
    if method.name in ("InsertRecords", "ImportRecords"):
        request.records.add(record_id="1", image=png(1))
    elif method.name == "UpdateRecords":
        request.patches.add(record_id="1")
    elif method.name in ("GetRecords", "DeleteRecords", "EraseRecords", "GetPictureLinks"):
        request.record_ids.append("1")
    elif method.name == "SampleRecords":
        request.count = 1
    elif method.name in ("Search", "Classify"):
        request.query.add(record_id="1")
        request.k = 1
        if method.name == "Classify":
            request.attribute = "a"
    elif method.name == "JudgePairs":
        request.judgements.add(record_id="1", other_record_id="2", verdict=2)
    elif method.name == "AddFeedback":
        request.query.add(record_id="1")
        request.liked_record_ids.append("1")
    elif method.name == "BatchSearch":
        request.searches.add(collection=collection, k=1).query.add(record_id="1")
    elif method.name == "CompareSearches":
        for side in (request.first, request.second):
            side.collection, side.k = collection, 1
        request.query.add(record_id="1")
    elif method.name == "PushItem":
        request.delete_item_id = "1"
    elif method.name == "SetPicturePolicy":
        request.policy = 1
    elif method.name == "AddExamples":
        request.examples.add(example_id="1", label="a", image=png(1))
    elif method.name == "DeleteExamples":
        request.example_ids.append("1")
    elif method.name == "TrainModel":
        request.model_name = "m"
    elif method.name in ("Encode", "Rank", "DetectObjects"):
        request.pictures.add(image=png(1))
        if method.name == "Rank":
            request.query.image = png(1)
    with grpc.insecure_channel(server.target) as channel:
        make = getattr(channel, _kind(method))
        call = make(
            path,
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        metadata = (("authorization", f"Bearer {key}"),) if key else ()
        given = iter([request]) if method.client_streaming else request
        try:
            answer = call(given, metadata=metadata, timeout=20)
            responses = list(answer) if method.server_streaming else [answer]
        except grpc.RpcError as error:
            return error.code()
    if method.name == "BatchSearch" and responses[0].results[0].HasField("error"):
        return next(c for c in grpc.StatusCode if c.value[0] == responses[0].results[0].error.code)
    return grpc.StatusCode.OK


def _kind(method: Any) -> str:
    return f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"


def test_every_call_of_the_api_has_an_access_rule() -> None:
    assert {path for path, _ in CALLS} == METHODS.keys()
    assert {path.split("/")[1] for path, _ in CALLS} == set(SERVICE_NAMES)


@pytest.mark.parametrize(("path", "method"), CALLS)
def test_no_call_is_answered_without_a_key(server: Server, path: str, method: Any) -> None:
    assert invoke(server, path, method, "", "c") is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(("path", "method"), [c for c in CALLS if c[0] in SCOPES or c[0] not in WITH_KEY])
def test_no_call_is_answered_without_its_scope(server: Server, tenant_name: str, path: str, method: Any) -> None:
    key = server.key(tenant_name, [s for s in Scope if s is not SCOPES.get(path)])
    assert invoke(server, path, method, key, "c") is grpc.StatusCode.PERMISSION_DENIED


FOREIGN = [
    c for c in CALLS
    if c[0] in WITH_KEY and c[1].name not in (
        "CreateCollection", "ListCollections", "Encode", "Rank", "GetServerInfo", "GetUsage", "ListSources",
        "GetPrivacyReport", "DetectObjects",
        "PreviewFeed", "ListAuditEntries", "GetAuditHead", "GetReadAudit", "SetReadAudit",
        "ListAccessRequests", "CreateTrainingSet", "ListTrainingSets", "ListTrainings", "ListModels",
    )
]  # fmt: skip


@pytest.mark.parametrize(("path", "method"), FOREIGN)
def test_what_belongs_to_another_tenant_does_not_exist(server: Server, client: Client, path: str, method: Any) -> None:
    client.create_collection("private", picture_policy="ENCRYPTED_COPY")
    client.insert("private", [_record()])
    client.create_training_set("private")
    client.create_source(NewSource("feed", "private", "https://shop.example/feed", paused=True))
    run = client.start_run("feed", dry_run=True)
    stranger = server.key("stranger")
    assert invoke(server, path, method, stranger, "private", run.run_id) is grpc.StatusCode.NOT_FOUND
    assert client.count_records("private") == 1


def _record() -> NewRecord:
    return NewRecord("1", image=png(1))


def test_two_tenants_may_use_the_same_names_and_see_only_their_own(server: Server, tenant_name: str) -> None:
    from afterimage.client import NewRecord

    one, two = (server.client(server.key(f"{tenant_name}-{n}")) for n in "ab")
    with one, two:
        for number, client in enumerate((one, two)):
            client.create_collection("shoes")
            client.insert("shoes", [NewRecord("same-id", image=png(number))])
        assert one.search("shoes", png(1)).hits[0].distance > 0.01
        assert two.search("shoes", png(1)).hits[0].distance < 1e-3
        one.delete_collection("shoes", force=True)
        assert two.count_records("shoes") == 1
        with pytest.raises(NotFound):
            one.search("shoes", Term(record_id="same-id"))


def test_a_revoked_key_stops_at_once_and_the_other_key_goes_on(server: Server, tenant_name: str) -> None:
    old, new = server.key(tenant_name), server.key(tenant_name)
    with server.client(old) as first, server.client(new) as second:
        first.server_info()
        server.revoke(tenant_name, old)
        with pytest.raises(Unauthenticated) as caught:
            first.server_info()
        assert caught.value.reason == "KEY_REVOKED"
        assert second.server_info().scopes


def test_vectors_leave_only_with_the_export_scope(server: Server, tenant_name: str) -> None:
    from afterimage.client import NewRecord

    with server.client(server.key(tenant_name)) as owner:
        owner.create_collection("c")
        owner.insert("c", [NewRecord("1", image=png(1))])
        assert len(owner.search("c", png(1), include_vectors=True).hits[0].vector) == 384 * 4
    with server.client(server.key(tenant_name, [Scope.SEARCH])) as searcher:
        assert searcher.search("c", png(1)).hits[0].vector == b""
        for attempt in (
            lambda: searcher.search("c", png(1), include_vectors=True),
            lambda: searcher.get_records("c", ["1"], include_vectors=True),
            lambda: searcher.list_records_page("c", include_vectors=True),
            lambda: searcher.encode([png(1)]),
        ):
            with pytest.raises(PermissionDenied):
                attempt()


def test_reflection_is_off_unless_it_is_asked_for(server: Server, tmp_path: Path) -> None:
    from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
    from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

    def services(target: str) -> list[str]:
        with grpc.insecure_channel(target) as channel:
            answers = ServerReflectionStub(channel).ServerReflectionInfo(
                iter([ServerReflectionRequest(list_services="")])
            )
            return [s.name for a in answers for s in a.list_services_response.service]

    with pytest.raises(grpc.RpcError) as caught:
        services(server.target)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    open_server = start_server(tmp_path, environment={"AFTERIMAGE_REFLECTION": "true"})
    assert set(SERVICE_NAMES) <= set(services(open_server.target))
    assert open_server.stop() == 0
