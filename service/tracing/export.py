"""Sends spans to a collector (OTLP over HTTP). Needs the extra `tracing`.

Spans are sent in batches by a thread. A full queue drops spans, never waits. `LockedExporter` is a second lock behind
`allowed`: whatever reaches it, nothing passes that is not on the list.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from service.tracing.allowed import AllowList, Attribute
from service.tracing.spans import Trace, Tracer

_LOG = logging.getLogger(__name__)
_MOST_WAITING, _BATCH, _EVERY_MS, _TIMEOUT_S, _LAST_S = 4096, 512, 2000, 5.0, 3.0
_OK, _ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


@dataclass(frozen=True)
class Export:
    """Where spans go. `endpoint`: URL. `counted`: told of spans and whether they were sent."""

    endpoint: str
    share: float
    version: str
    counted: Callable[[int, bool], None]


@dataclass(frozen=True)
class Origin:
    """What all spans say of where they come from."""

    resource: Resource
    scope: InstrumentationScope


def open_tracer(export: Export, allowed: AllowList) -> Tracer:
    """A tracer that sends to a collector. It has a thread; close it."""
    session = requests.Session()
    session.trust_env = False  # neither a proxy nor ~/.netrc
    sender = OTLPSpanExporter(export.endpoint, timeout=_TIMEOUT_S, session=session)
    return tracer_with(sender, export, allowed)


def tracer_with(sender: SpanExporter, export: Export, allowed: AllowList) -> Tracer:
    """A tracer that sends with another exporter."""
    origin = Origin(_resource(export.version), InstrumentationScope("afterimage", export.version))
    locked = LockedExporter(sender, allowed, origin, export.counted)
    batches = BatchSpanProcessor(
        locked,
        max_queue_size=_MOST_WAITING, schedule_delay_millis=_EVERY_MS, max_export_batch_size=_BATCH,
    )  # fmt: skip

    def ended(trace: Trace) -> None:
        for span in spans_of(trace, allowed, origin):
            batches.on_end(span)

    def close() -> None:
        if locked.failing:
            sender.shutdown()  # nobody would wait for what cannot be sent
        closing = threading.Thread(target=batches.shutdown, name="close traces", daemon=True)
        closing.start()
        closing.join(_LAST_S)
        if closing.is_alive():
            sender.shutdown()  # ends its retries

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it logs what the collector answers
    return Tracer(export.share, ended, close)


def spans_of(trace: Trace, allowed: AllowList, origin: Origin) -> list[ReadableSpan]:
    """The span of a trace, and one for each of its stages.

    They are made here, not by the SDK's tracer: its samplers, locks and limits cost four times as much.
    """
    context, resource, scope = trace.context, origin.resource, origin.scope
    made = [
        ReadableSpan(
            trace.name, context, trace.parent, resource, allowed.kept(trace.attributes), kind=trace.kind,
            status=_ERROR if trace.failed else _OK, start_time=trace.began_ns, end_time=trace.ended_ns,
            instrumentation_scope=scope,
        )
    ]  # fmt: skip
    for number, (stage, times) in enumerate(trace.stages.items(), 1):
        own = SpanContext(context.trace_id, _child_id(context.span_id, number), False, context.trace_flags)
        made.append(
            ReadableSpan(
                stage.value, own, context, resource,
                {Attribute.COUNT.value: times.count, Attribute.BUSY_S.value: round(times.busy_s, 9)},
                kind=SpanKind.INTERNAL, start_time=trace.moment_ns(times.began_s),
                end_time=trace.moment_ns(times.ended_s), instrumentation_scope=scope,
            )
        )  # fmt: skip
    return made


def _child_id(span_id: int, number: int) -> int:
    """An id of a child: as random as that of its parent, and another one for each number. Never 0."""
    return (span_id + number * 0x9E3779B97F4A7C15) % (1 << 64) or 1


class LockedExporter(SpanExporter):
    """Passes on nothing but what the list allows: no event, no link, no description, no other attribute or resource.

    A span with a name that is not on the list is not sent at all.
    """

    def __init__(
        self,
        sender: SpanExporter,
        allowed: AllowList,
        origin: Origin,
        counted: Callable[[int, bool], None] = lambda spans, sent: None,
    ) -> None:
        self._sender, self._allowed, self._origin, self._counted = sender, allowed, origin, counted
        self.failing = False  # whether the last batch was not sent

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends a batch. Called by one thread."""
        passed = [self._passed(span) for span in spans if span.name in self._allowed.names]
        result = self._sender.export(passed)
        sent = result is SpanExportResult.SUCCESS
        self._counted(len(passed), sent)
        if sent == self.failing:  # it has changed
            self.failing = not sent
            _LOG.warning(
                "traces are sent again" if sent else "traces cannot be sent to trace_endpoint; they are dropped"
            )
        return result

    def shutdown(self) -> None:
        """Ends the sender."""
        self._sender.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Sends what the sender holds."""
        return self._sender.force_flush(timeout_millis)

    def _passed(self, span: ReadableSpan) -> ReadableSpan:
        """The span, or a copy with what is allowed of it."""
        attributes = span.attributes or {}
        kept = self._allowed.kept(attributes)
        context = span.context
        clean = (
            len(kept) == len(attributes) and not span.events and not span.links and not span.status.description
            and span.resource is self._origin.resource and span.instrumentation_scope is self._origin.scope
            and context is not None and not context.trace_state
            and not (span.parent is not None and span.parent.trace_state)
        )  # fmt: skip
        if clean:
            return span
        return ReadableSpan(
            span.name, _bare(context), _bare(span.parent), self._origin.resource, kept, kind=span.kind,
            status=Status(span.status.status_code), start_time=span.start_time, end_time=span.end_time,
            instrumentation_scope=self._origin.scope,
        )  # fmt: skip


def _bare(context: SpanContext | None) -> SpanContext | None:
    """Ids and flags alone, without the text of a `tracestate`."""
    if context is None:
        return None
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)


def _resource(version: str) -> Resource:
    """What all spans say of their origin: the name and version of the service, and what the operator's variables
    OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME add. Nothing of the machine."""
    return Resource({"service.name": "afterimage", "service.version": version}).merge(OTELResourceDetector().detect())
