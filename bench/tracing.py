"""`make bench-tracing`: processor time of a real server for a call, by the share of traced calls.

All servers run at once, and the calls alternate between them, so that whatever else the machine does meets all of them
alike. The spans go to a collector of the benchmark, whose own time does not count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from afterimage.client import Client, NewRecord, Term
from bench.call_costs import processor_s
from bench.environment import write_result
from examples.catalogue.generate import draw_query
from service.tracing.allowed import AllowList, Attribute, Stage
from service.tracing.export import Export, tracer_with
from service.tracing.spans import NO_TRACER, stage
from tests.support.collector import Collector, running_collector
from tests.support.servers.server import start_server

RECORDS = 2000
WAYS = {"off": None, "off again": None, "0 %": 0.0, "1 %": 0.01, "100 %": 1.0}


class Measured:
    """A server, and what its calls cost."""

    def __init__(self, folder: Path, collector: Collector, share: float | None, picture: bytes) -> None:
        """`share`: of the calls that are traced; None: traces are off."""
        traced = {"AFTERIMAGE_TRACE_ENDPOINT": collector.url, "AFTERIMAGE_TRACE_SHARE": str(share)}
        self._server = start_server(folder, environment=traced if share is not None else {}, anew=True)
        self._process = psutil.Process(self._server.process.pid)
        self._client = Client(self._server.target, self._server.key("acme"))
        self.costs_ms: dict[str, list[float]] = {}
        chosen = np.random.default_rng(1)
        dimension = self._client.create_collection("cost").dimension
        for start in range(0, RECORDS, 100):
            vectors = chosen.standard_normal((100, dimension)).astype("<f4")
            named = zip((f"r{start + n}" for n in range(100)), vectors, strict=True)
            records = [NewRecord(name, vector=v.tobytes(), attributes={"color": "red"}) for name, v in named]
            self._client.insert("cost", records)
        term = Term(vector=chosen.standard_normal(dimension).astype("<f4").tobytes())
        self.calls: dict[str, Callable[[], object]] = {
            "count": lambda: self._client.count_records("cost"),
            "search by vector": lambda: self._client.search("cost", term, k=10),
            "search with a filter": lambda: self._client.search("cost", term, k=10, filter='color="red"'),
            "search by picture": lambda: self._client.search("cost", picture, k=10),
        }

    def measure(self, name: str, times: int) -> None:
        """Makes a call some times, and notes the processor time of one, in milliseconds; decoders count too."""
        before = processor_s(self._process)
        for _ in range(times):
            self.calls[name]()
        self.costs_ms.setdefault(name, []).append((processor_s(self._process) - before) * 1000 / times)

    def stop(self) -> None:
        self._client.close()
        self._server.stop()


@contextlib.contextmanager
def _servers(picture: bytes) -> Iterator[dict[str, Measured]]:
    with tempfile.TemporaryDirectory() as folder, running_collector() as collector:
        servers: dict[str, Measured] = {}
        try:
            for number, (way, share) in enumerate(WAYS.items()):
                servers[way] = Measured(Path(folder) / str(number), collector, share, picture)
            yield servers
        finally:
            for server in servers.values():
                server.stop()


def compare(servers: dict[str, Measured], rounds: int, times: int) -> dict[str, Any]:
    """Milliseconds of a call by way, and the median over rounds of the ratio to the first way in percent."""
    order = list(servers)
    names = list(servers[order[0]].calls)
    for way in order:
        for name in names:
            servers[way].calls[name]()
    for number in range(rounds):
        for name in names:
            for way in order[number % len(order) :] + order[: number % len(order)]:
                servers[way].measure(name, times if "picture" not in name else max(1, times // 5))
    found: dict[str, Any] = {}
    for name in names:
        base = servers[order[0]].costs_ms[name]
        found[name] = {
            way: {
                "ms": round(statistics.median(server.costs_ms[name]), 4),
                "more_percent": round(
                    100 * (statistics.median(b / a for a, b in zip(base, server.costs_ms[name], strict=True)) - 1), 1
                ),
            }
            for way, server in servers.items()
        }
    return found


class _Encoding(SpanExporter):
    """Does what an exporter does, but for sending."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


def alone_us(calls: int = 800) -> dict[str, float]:
    """Microseconds of processor time for the traces of a call with four stages alone. No span is dropped."""
    allowed = AllowList(["/afterimage.v1.SearchService/Search"])
    tracers = {
        "off": NO_TRACER,
        **{
            way: tracer_with(_Encoding(), Export("", share, "0", lambda spans, sent: None), allowed)
            for way, share in WAYS.items()
            if share is not None
        },
    }
    found = {}
    for way, tracer in tracers.items():
        began = time.process_time()
        for _ in range(calls):
            trace = tracer.begin("SearchService/Search")
            for which in (Stage.QUEUE, Stage.DECODE, Stage.ENCODE, Stage.SEARCH):
                with stage(which):
                    pass
            if trace is not None:
                trace.note(Attribute.METHOD, "Search")
                trace.end()
        tracer.close()
        found[way] = round((time.process_time() - began) * 1e6 / calls, 2)
    return found


def main() -> None:
    """Measures, prints, writes bench/results/tracing.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=50, help="of each round")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        picture = draw_query(1, Path(name)).read_bytes()
    with _servers(picture) as servers:
        results = compare(servers, chosen.rounds, chosen.calls)
    result = {"rounds": chosen.rounds, "calls": chosen.calls, "calls_ms": results, "alone_us": alone_us()}
    print(json.dumps(result, indent=2))
    print(write_result("tracing", result))


if __name__ == "__main__":
    main()
