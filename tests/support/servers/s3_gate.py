"""A proxy before an S3 API that refuses deletions on demand, as a bucket policy may."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.support.servers.s3 import S3, s3

_REFUSED = b"<Error><Code>AccessDenied</Code><Message>no deletions</Message></Error>"


@dataclass
class Gate:
    """`refusing`: deletions are answered with 403."""

    bucket: S3
    refusing: bool = False


@contextlib.contextmanager
def gated_s3() -> Iterator[Gate]:
    """A bucket behind a gate. Its own client bypasses the gate."""
    with s3() as bucket:
        gate = Gate(bucket)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(gate, bucket.endpoint))
        gate.bucket = replace(bucket, endpoint=f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield gate
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(gate: Gate, endpoint: str) -> type[BaseHTTPRequestHandler]:
    place = urlsplit(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            deletes = self.command == "DELETE" or (self.command == "POST" and "delete" in self.path)
            if gate.refusing and deletes:
                self._answer(403, [], _REFUSED)
                return
            inner = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
            inner.request(self.command, self.path, body, dict(self.headers))
            answer = inner.getresponse()
            content = answer.read()
            self._answer(answer.status, answer.getheaders(), content)
            inner.close()

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            length = next((v for n, v in headers if n.lower() == "content-length"), str(len(content)))
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    return Handler
