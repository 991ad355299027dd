"""A collector of traces (OTLP over HTTP) that keeps what it receives."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Received:
    """A span as it came over the wire. `attributes`: by name. Ids in hexadecimal digits; `parent` may be empty."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    seconds: float
    began_ns: int
    attributes: dict[str, Any]
    failed: bool


class Collector:
    """Thread-safe. `answer`: the status that it answers with."""

    def __init__(self) -> None:
        self.url, self.answer = "", 200
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self._changed = threading.Condition()

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        """Keeps a request."""
        with self._changed:
            self.bodies.append(body)
            self.headers.append(headers)
            self._changed.notify_all()

    @property
    def raw(self) -> bytes:
        """Everything that was received."""
        return b"".join(self.bodies)

    @property
    def resources(self) -> list[dict[str, str]]:
        """The attributes of the resource of each request."""
        read = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            {a.key: a.value.string_value for a in group.resource.attributes} for r in read for group in r.resource_spans
        ]

    def spans(self) -> list[Received]:
        """All spans."""
        read = [ExportTraceServiceRequest.FromString(body) for body in list(self.bodies)]
        return [
            _received(span) for r in read for group in r.resource_spans for s in group.scope_spans for span in s.spans
        ]

    def wait_for(self, enough: Callable[[list[Received]], bool]) -> list[Received]:
        """All spans, once there are enough."""
        with self._changed:
            assert self._changed.wait_for(lambda: enough(self.spans()), _PATIENCE_S), [s.name for s in self.spans()]
            return self.spans()

    def trace_of(self, root: str) -> dict[str, Received]:
        """The children of the first span of this name, and itself, by name, once it is there."""
        found = self.wait_for(lambda spans: any(s.name == root for s in spans))
        top = next(s for s in found if s.name == root)
        return {root: top} | {s.name: s for s in found if s.parent == top.span_id}


@contextmanager
def running_collector() -> Iterator[Collector]:
    """A collector on a free port of this machine."""
    collector = Collector()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if collector.answer == 200:
                collector.take(body, dict(self.headers))
            self.send_response(collector.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        collector.url = f"http://127.0.0.1:{server.server_port}"
        yield collector
        server.shutdown()


def _received(span: Any) -> Received:
    attributes = {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}
    return Received(
        span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9, span.start_time_unix_nano, attributes,
        span.status.code == 2,
    )  # fmt: skip
