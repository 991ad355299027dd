"""The table of methods: complete, bound to handlers, and as the client's retries take it to be."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path
from typing import Any

import pytest

from afterimage import client, v1
from afterimage.v1 import erasure_service_pb2, server_info_service_pb2
from service.calls.handlers import bind
from service.calls.method import Caller, Deadline, Effect, Kind, Row, Share, by_path, methods_of
from service.calls.methods import METHODS, SERVICE_NAMES

INFO = "/afterimage.v1.ServerInfoService/GetServerInfo"
# Writes that happen too often for two entries each: the audit log counts them by intervals.
COUNTED = {
    "RecordService/InsertRecords", "RecordService/ImportRecords", "RecordService/UpdateRecords",
    "TrainingService/AddExamples", "SearchService/AddFeedback",
}  # fmt: skip


def service_modules() -> list[Any]:
    names = [found.name for found in pkgutil.iter_modules(v1.__path__) if found.name.endswith("_service_pb2")]
    return [importlib.import_module(f"afterimage.v1.{name}") for name in names]


def test_every_rpc_of_every_proto_has_a_row() -> None:
    rpcs = {
        f"/{service.full_name}/{rpc.name}"
        for module in service_modules()
        for service in module.DESCRIPTOR.services_by_name.values()
        for rpc in service.methods
    }
    assert METHODS.keys() == rpcs
    assert set(SERVICE_NAMES) == {path.split("/")[1] for path in rpcs}


def test_a_row_carries_what_the_proto_says() -> None:
    info = METHODS[INFO]
    assert (info.request, info.response) == (
        server_info_service_pb2.GetServerInfoRequest, server_info_service_pb2.GetServerInfoResponse,
    )  # fmt: skip
    assert (info.name, info.service) == ("ServerInfoService/GetServerInfo", "afterimage.v1.ServerInfoService")
    kinds = {METHODS[f"/afterimage.v1.{name}"].kind for name in ("SyncService/WatchRun", "RecordService/ImportRecords")}
    assert kinds == {Kind.SERVER_STREAM, Kind.BIDIRECTIONAL}
    assert {m.share for m in METHODS.values() if m.kind is Kind.UNARY} == {Share.CALLS}
    assert {m.share for m in METHODS.values() if m.kind is not Kind.UNARY} == {Share.STREAMS}


@pytest.mark.parametrize(
    "rows",
    [
        [Row("EraseRecords", Caller.ANY_KEY)],
        [Row(name, Caller.ANY_KEY) for name in ("EraseRecords", "EraseCollection", "EraseEverything")],
        [Row(name, Caller.ANY_KEY) for name in ("EraseRecords", "EraseCollection", "EraseRecords")],
    ],
)
def test_an_rpc_without_a_row_and_a_row_without_an_rpc_stop_the_start(rows: list[Row]) -> None:
    with pytest.raises(LookupError, match="ErasureService"):
        methods_of(erasure_service_pb2, *rows)


def test_a_row_without_a_handler_and_a_handler_without_a_row_stop_the_start() -> None:
    table = by_path(methods_of(server_info_service_pb2, Row("GetServerInfo", Caller.ANY_KEY)))

    class Handlers:
        async def GetServerInfo(self, request: Any, caller: Any) -> None: ...

    class More(Handlers):
        async def GetAnything(self, request: Any, caller: Any) -> None: ...

    service = "afterimage.v1.ServerInfoService"
    assert bind(table, {service: Handlers()}).keys() == {INFO}
    for handlers, missing in (
        ({}, "GetServerInfo"),
        ({service: object()}, "GetServerInfo"),
        ({service: More()}, "GetAny"),
    ):
        with pytest.raises(LookupError, match=missing):
            bind(table, handlers)


def test_every_change_is_recorded_before_it_is_made_or_counted() -> None:
    for method in METHODS.values():
        has_intent = method.row.audit is not None and method.row.audit.intent is not None
        of_a_tenant = method.row.caller is not Caller.WORKER
        assert has_intent == (method.changes and of_a_tenant and method.name not in COUNTED), method.name


def test_streams_that_a_caller_feeds_or_watches_have_no_deadline_of_the_server() -> None:
    for method in METHODS.values():
        if method.kind is not Kind.UNARY:
            assert method.row.deadline is Deadline.OPEN, method.name


def test_the_client_repeats_by_itself_what_the_table_calls_safe_or_idempotent() -> None:
    folder, found = Path(str(client.__file__)).parent, {}
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Call" and len(node.args) > 1:
                names = [a.value for a in node.args[:2] if isinstance(a, ast.Constant)]
                safe = next((k.value for k in node.keywords if k.arg == "retry_safe"), None)
                if len(names) == 2:
                    found["/".join(map(str, names))] = safe is None or not isinstance(safe, ast.Constant) or safe.value
    # Safe to repeat unless the one is forced, and the other applies or undoes something.
    conditional = {"CollectionService/DeleteCollection", "CollectionService/TuneCollection"}
    assert len(found) > 50
    for name, repeats in found.items():
        effect = METHODS[f"/afterimage.v1.{name}"].row.effect
        assert repeats == (effect is not Effect.NOT_IDEMPOTENT) or name in conditional, name
