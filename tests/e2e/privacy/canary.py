"""`make canary`: sends marked pictures through every path of a real server, then searches for what is left of them.

The first run is without protections and must leave marks, which proves that the search works. The second run has them
and must leave none: not in the memory of the server, its decoders and its Redis, nor in any file, the log, the metrics
or a trace.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.server
import os
import signal
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
from PIL import Image

from afterimage.client import AfterimageError, Client, NewRecord, Region, Term
from afterimage.v1 import record_service_pb2, record_service_pb2_grpc
from tests.e2e.privacy.http_canary import HttpSender
from tests.e2e.privacy.ximilar_canary import XimilarSender
from tests.support.collector import Collector, running_collector
from tests.support.data.detectors.graphs import write_bright
from tests.support.data.files import all_bytes
from tests.support.data.pictures import encode, noise
from tests.support.servers.server import Server, start_server

MARK = b"AFTERIMAGE-CANARY-7f3a91"  # 24 bytes, which are eight pixels
SWAPPED = b"".join(MARK[i : i + 3][::-1] for i in range(0, len(MARK), 3))  # the same pixels in the other byte order
HALVES = tuple(mark[:12] for mark in (MARK, SWAPPED))
PADDED = b"".join(MARK[i : i + 3] + b"\xff" for i in range(0, len(MARK), 3))  # as Pillow keeps RGB
MARKS_PER_PICTURE = 128
KINDS: tuple[tuple[str, dict[str, object]], ...] = (
    ("BMP", {}), ("BMP", {}), ("PNG", {}), ("WEBP", {"lossless": True}),
    ("TIFF", {"compression": "tiff_lzw"}),
)  # fmt: skip
SHRED = MARKS_PER_PICTURE // 4  # what gRPC may hold of a connection's last read buffer
UNPROTECTED = {"_AFTERIMAGE_PREPARED": "1", "OMP_NUM_THREADS": "1"}
_DROP_S = 10.0


def marked(seed: int) -> bytes:
    """Pixels with the mark in every fourth row; different for each seed.

    A BMP stores them unchanged, so that the file contains the mark too. For other formats only the decoders see it.
    """
    pixels = bytearray(noise(seed, 64, 64).tobytes())
    for y in range(0, 64, 4):
        pixels[y * 192 : y * 192 + 192] = MARK * 8
    kind, options = KINDS[seed % len(KINDS)]
    content = encode(Image.frombytes("RGB", (64, 64), bytes(pixels)), kind, **options)
    assert kind != "BMP" or content.count(SWAPPED) == MARKS_PER_PICTURE
    return content


def in_base64(part: bytes) -> list[bytes]:
    """What is certainly in a text in base64 that has these bytes, wherever they begin in it."""
    return [base64.b64encode(part[skip : skip + (len(part) - skip) // 3 * 3]) for skip in range(3)]


MARKS = (*HALVES, PADDED[:12], *(text for half in HALVES for text in in_base64(half)))


def count_marks(content: bytes) -> int:
    """Counts marks in either byte order, padded, or in base64. Half a mark is sufficient."""
    return sum(content.count(mark) for mark in MARKS)


@dataclass
class Sender:
    """Sends marked pictures along every path; `sent` counts them."""

    server: Server
    client: Client
    stranger: Client
    key: str
    sent: int = 0

    def next(self) -> bytes:
        """Another marked picture."""
        self.sent += 1
        return marked(self.sent)

    def send_everywhere(self, *, few: bool = False) -> None:
        """Sends at least 200 pictures. few: some, along one path, for a control that only shows what a search finds."""
        self.client.create_collection("c")
        if few:
            self.client.insert("c", [NewRecord(str(n), image=self.next()) for n in range(60)])
            return
        self._send_well()
        self._send_by_url()
        self._send_badly()
        HttpSender(self.server.http, self.key, self.next).send_everywhere()
        XimilarSender(self.server.http, self.key, self.next).send_everywhere()
        self._go_away()
        self._kill_decoders()

    def _send_well(self) -> None:
        client = self.client
        client.insert("c", [NewRecord(str(n), image=self.next()) for n in range(30)])
        list(client.import_records("c", (NewRecord(f"i{n}", image=self.next()) for n in range(60))))
        client.insert("c", [NewRecord("r", image=self.next(), region=Region(0.1, 0.1, 0.9, 0.9))])
        for _ in range(10):
            client.search("c", self.next())
        client.search("c", [Term(image=self.next()), Term(image=self.next(), weight=-0.3)])
        client.encode([self.next() for _ in range(10)])
        assert all(p.error is None for p in client.detect_objects([self.next() for _ in range(5)], min_score=0))
        assert client.search("c", self.next(), objects="each").objects
        (split,) = client.insert("c", [NewRecord("split", image=self.next())], split_objects=True)
        assert split.parts
        client.rank(self.next(), [self.next() for _ in range(5)])
        client.classify("c", self.next(), "color")

    def _send_by_url(self) -> None:
        with _shop([self.next() for _ in range(20)]) as address:
            records = [NewRecord(f"u{n}", url=f"{address}/{n}") for n in range(20)]
            assert all(r.error is None for r in self.client.insert("c", records))
            self.client.search("c", Term(url=f"{address}/3"))

    def _send_badly(self) -> None:
        client = self.client
        client.insert("c", [NewRecord("broken", image=self.next()[:9000]), NewRecord("text", image=MARK * 50)])
        for failing in (
            lambda: client.insert("c", [NewRecord("late", image=self.next())] * 90, timeout_s=0.01),
            lambda: client.search("c", self.next(), filter="bad ="),
            lambda: self.stranger.search("c", self.next()),
            lambda: client.search("none", self.next()),
        ):
            try:
                failing()
            except AfterimageError:
                continue
            raise AssertionError("this call was meant to fail")

    def _go_away(self) -> None:
        """A cancelled call, and a stream whose client disappears."""
        credentials = (("authorization", f"Bearer {self.key}"),)
        for vanish in (False, True):
            channel = grpc.insecure_channel(self.server.target)
            stub = record_service_pb2_grpc.RecordServiceStub(channel)
            records = [record_service_pb2.RecordInput(record_id=f"g{n}", image=self.next()) for n in range(20)]
            if vanish:
                request = record_service_pb2.ImportRecordsRequest(collection="c", records=records)
                stream = stub.ImportRecords(iter([request] * 3), metadata=credentials)
                next(iter(stream))
            else:
                insert = record_service_pb2.InsertRecordsRequest(collection="c", records=records)
                stub.InsertRecords.future(insert, metadata=credentials).cancel()  # type: ignore[no-untyped-call]
            channel.close()

    def _kill_decoders(self) -> None:
        def insert() -> None:
            with contextlib.suppress(AfterimageError):
                self.client.insert("c", [NewRecord(f"k{n}", image=self.next()) for n in range(40)])

        inserting = threading.Thread(target=insert)
        inserting.start()
        for _ in range(3):
            for process in psutil.Process(self.server.process.pid).children():
                with contextlib.suppress(psutil.Error):  # it may be gone already
                    if any("decode_pool" in part for part in process.cmdline()):
                        process.send_signal(signal.SIGKILL)
        inserting.join()


@contextlib.contextmanager
def _shop(pictures: list[bytes]) -> Iterator[str]:
    """A web server that serves each picture under its number. Yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pictures[int(self.path.strip("/"))]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def marks_in_memory(pid: int) -> int:
    """Marks in all writable memory of a process. Needs root."""
    found = 0
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, permissions = line.split()[:2]
            if not permissions.startswith("rw"):
                continue
            low, high = (int(x, 16) for x in span.split("-"))
            try:
                memory.seek(low)
                content = memory.read(high - low)
            except (OSError, OverflowError):
                continue
            found += count_marks(content)
    return found


@dataclass(frozen=True)
class Left:
    """What was sent, and how many marks were left where. `in_server`: after the clients had disconnected. `spans`: how
    many there were."""

    sent: int
    in_server: int
    in_helpers: int
    in_files: int
    in_metrics: int
    in_spans: int
    spans: int


def run(
    folder: Path, environment: dict[str, str], *, search_memory: bool, patience_s: float = _DROP_S, few: bool = False
) -> Left:
    """Starts a server in `folder`, sends everything, or a few pictures, searches, and stops it.

    gRPC takes a moment to release the buffer of a connection. The search of the server's memory is therefore repeated
    until it finds less than a fragment, or `patience_s` ends.
    """
    with running_collector() as collector:
        return _run(folder, environment, collector, patience_s if search_memory else None, few=few)


def _run(
    folder: Path, environment: dict[str, str], collector: Collector, patience_s: float | None, *, few: bool
) -> Left:
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    fetching = {"AFTERIMAGE_FETCH_NETWORKS": '["127.0.0.1/32"]', "AFTERIMAGE_FETCH_RATE_PER_HOST": "1000"}
    looking = {
        "TMPDIR": str(temporary), "AFTERIMAGE_LOG_LEVEL": "debug", "AFTERIMAGE_IMAGE_FORMATS": "tiff",
        "AFTERIMAGE_XIMILAR_DOOR": "true", "AFTERIMAGE_TRACE_ENDPOINT": collector.url, "AFTERIMAGE_TRACE_SHARE": "1",
    }  # fmt: skip
    detecting = {
        "AFTERIMAGE_DETECTORS_DIR": str(write_bright(folder / "detectors").parent), "AFTERIMAGE_DETECTOR": "bright"
    }  # fmt: skip
    server = start_server(folder, environment={**fetching, **looking, **detecting, **environment}, anew=True)
    key = server.key("acme")
    with server.client(key) as client, server.client(server.key("other")) as stranger:
        sender = Sender(server, client, stranger, key)
        sender.send_everywhere(few=few)
    with urllib.request.urlopen(f"http://{server.http}/metrics") as page:
        in_metrics = count_marks(page.read())
    in_server = in_helpers = 0
    if patience_s is not None:
        deadline = time.monotonic() + patience_s
        while (in_server := marks_in_memory(server.process.pid)) >= SHRED and time.monotonic() < deadline:
            pass
        in_helpers = sum(marks_in_memory(p.pid) for p in psutil.Process(server.process.pid).children(recursive=True))
    files = all_bytes(folder)
    assert len(files) > 100_000
    assert server.stop() == 0
    return Left(
        sender.sent, in_server, in_helpers, count_marks(files) + count_marks(all_bytes(folder)), in_metrics,
        count_marks(collector.raw), len(collector.spans()),
    )  # fmt: skip


def main() -> None:
    """Runs both and prints. The exit code is 1 if a picture was left, or the control found nothing."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if os.geteuid() != 0:
        raise SystemExit("make canary needs root: nobody else may read the server's memory")
    with tempfile.TemporaryDirectory() as temporary:
        without = run(Path(temporary) / "without", UNPROTECTED, search_memory=True, patience_s=0)
        print("without the protections:", without)
        protected = run(Path(temporary) / "with", {}, search_memory=True)
        print("with them:              ", protected)
    if without.in_server < 20 * MARKS_PER_PICTURE:
        raise SystemExit("FAILED: the search found too little without the protections to be believed")
    if (
        protected.in_server >= SHRED
        or protected.in_helpers + protected.in_files + protected.in_metrics + protected.in_spans
    ):
        raise SystemExit("FAILED: pictures were left")
    print(f"passed: {protected.sent} marked pictures, {without.in_server} marks without the protections, "
          f"{protected.in_server} with them (a shred of a read buffer is below {SHRED})")  # fmt: skip


if __name__ == "__main__":
    main()
