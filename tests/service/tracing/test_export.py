"""What is sent to a collector: nothing that is not on the list, whatever reaches the exporter."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, TraceState

import service
from service.tracing.allowed import AllowList, Attribute, Door, Stage
from service.tracing.export import Export, LockedExporter, Origin, open_tracer
from service.tracing.spans import Tracer, note, stage
from tests.support.collector import Collector, running_collector

MARK = "CANARY-7f3a91"
ALLOWED = AllowList(["/afterimage.v1.SearchService/Search"])
ORIGIN = Origin(Resource({"service.name": "afterimage"}), InstrumentationScope("afterimage"))


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


def opened(collector: Collector, counted: list[tuple[int, bool]] | None = None) -> Tracer:
    told = counted if counted is not None else []
    return open_tracer(Export(collector.url + "/v1/traces", 1.0, "9", lambda *n: told.append(n)), ALLOWED)


def call(tracer: Tracer, error: str = "", *, failed: bool = False) -> None:
    trace = tracer.begin("SearchService/Search")
    assert trace is not None
    with stage(Stage.FILTER):
        note(Attribute.PATH, MARK)
    with stage(Stage.SEARCH):
        note(Attribute.DOOR, Door.HTTP)
        note(Attribute.PATH, MARK)  # no path of a search
    trace.note(Attribute.STATUS, 13 if failed else 0)
    trace.end(error, failed=failed)


def test_a_call_and_its_stages_arrive(collector: Collector) -> None:
    counted: list[tuple[int, bool]] = []
    tracer = opened(collector, counted)
    call(tracer)
    call(tracer, "INTERNAL", failed=True)
    tracer.close()
    good, filtering, searching, bad, *_ = collector.spans()
    assert [s.name for s in (good, filtering, searching)] == ["SearchService/Search", "filter", "search"]
    assert good.attributes == {"afterimage.transport": "http", "rpc.grpc.status_code": 0}
    assert filtering.attributes.keys() == {"afterimage.count", "afterimage.busy_seconds"}
    assert filtering.parent == searching.parent == good.span_id
    assert good.parent == ""
    assert good.began_ns <= filtering.began_ns
    assert filtering.seconds <= good.seconds
    assert len({s.span_id for s in collector.spans()}) == 6
    assert (good.failed, bad.failed, bad.attributes["error.type"]) == (False, True, "INTERNAL")
    assert collector.resources == [{"service.name": "afterimage", "service.version": "9"}]
    assert counted == [(6, True)]
    assert MARK.encode() not in collector.raw


def leaking_spans() -> list[ReadableSpan]:
    """Spans as a careless change, or another library, would make them: each leaks in another way."""
    context, stated = (SpanContext(1, 2, False, TraceFlags(1), state) for state in (None, TraceState([("x", MARK)])))
    origin: dict[str, Any] = {"resource": ORIGIN.resource, "instrumentation_scope": ORIGIN.scope}
    name = "SearchService/Search"
    return [
        ReadableSpan(name, context, attributes={"user_agent.original": MARK}, **origin),
        ReadableSpan(name, context, attributes={Attribute.METHOD.value: MARK}, **origin),
        ReadableSpan(name, context, attributes={Attribute.COUNT.value: MARK}, **origin),
        ReadableSpan(name, context, events=[Event("exception", {"exception.message": MARK})], **origin),
        ReadableSpan(name, context, links=[Link(context, {"x": MARK})], **origin),
        ReadableSpan(name, context, status=Status(StatusCode.ERROR, MARK), **origin),
        ReadableSpan(name, context, resource=Resource({"host.name": MARK})),
        ReadableSpan(name, context, resource=ORIGIN.resource, instrumentation_scope=InstrumentationScope(MARK)),
        ReadableSpan(name, stated, **origin),
        ReadableSpan(MARK, context, **origin),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(len(leaking_spans())))
def test_the_lock_lets_nothing_pass_that_would_pass_without_it(collector: Collector, number: int) -> None:
    span = leaking_spans()[number]
    sender = OTLPSpanExporter(collector.url)
    assert sender.export([span]) is SpanExportResult.SUCCESS
    assert MARK.encode() in collector.raw  # the control: the search would find it
    collector.bodies.clear()
    assert LockedExporter(sender, ALLOWED, ORIGIN).export([span]) is SpanExportResult.SUCCESS
    assert MARK.encode() not in collector.raw
    assert [s.name for s in collector.spans()] == (["SearchService/Search"] if span.name != MARK else [])


def test_an_exception_that_the_sdk_records_by_itself_is_dropped(collector: Collector) -> None:
    provider = TracerProvider(resource=Resource({"host.name": MARK}))
    provider.add_span_processor(SimpleSpanProcessor(LockedExporter(OTLPSpanExporter(collector.url), ALLOWED, ORIGIN)))
    with pytest.raises(ValueError, match=MARK), provider.get_tracer(MARK).start_as_current_span("SearchService/Search"):
        raise ValueError(MARK)
    assert [s.failed for s in collector.spans()] == [True]
    assert MARK.encode() not in collector.raw


def test_the_environment_adds_nothing_of_the_machine(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=shop")
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "host,process,os")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    tracer = opened(collector)
    call(tracer)
    tracer.close()
    expected = {"service.name": "afterimage", "service.version": "9", "deployment.environment": "shop"}
    assert collector.resources == [expected]


def test_a_collector_that_refuses_costs_spans_and_one_warning(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.answer = 400
    counted: list[tuple[int, bool]] = []
    tracer = opened(collector, counted)
    for _ in range(2 * 512):
        call(tracer)
    tracer.close()
    assert sum(n for n, sent in counted if not sent) == 3 * 1024
    assert [r.message for r in caplog.records] == ["traces cannot be sent to trace_endpoint; they are dropped"]


def test_a_collector_that_is_gone_does_not_hold_up_the_stop() -> None:
    with running_collector() as collector:
        tracer = opened(collector)
    call(tracer)
    tracer.close()  # within the timeout of a test
    call(tracer)


def test_no_span_is_made_by_a_library_that_would_add_to_it() -> None:
    """Nor anywhere else: an import contract keeps OpenTelemetry in this room."""
    adding = {"set_attribute", "set_attributes", "add_event", "record_exception", "start_span", "start_as_current_span"}
    room = Path(str(service.__file__)).parent / "tracing"
    nodes = [node for path in room.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    assert len(nodes) > 500
    assert not adding & {node.attr for node in nodes if isinstance(node, ast.Attribute)}
