"""Web servers with TLS that record requests."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.servers.tls import Certificates


@dataclass
class TlsShop:
    """`answers`: bodies by path. `redirects`: by path. `requests`: method, path and headers of each."""

    answers: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    address: str = ""

    def credentials(self) -> list[tuple[str, str]]:
        """Path and credentials of each request that had any."""
        return [(path, h["authorization"]) for _, path, h in self.requests if "authorization" in h]

    def posts(self) -> int:
        """The number of notifications."""
        return sum(method == "POST" for method, _, _ in self.requests)

    @contextlib.contextmanager
    def running(self, certificates: Certificates) -> Iterator[TlsShop]:
        shop = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.requests.append((self.command, self.path, {n.lower(): v for n, v in self.headers.items()}))
                body = shop.answers.get(self.path, b"")
                self.send_response(302 if self.path in shop.redirects else 200 if body else 404)
                if self.path in shop.redirects:
                    self.send_header("Location", shop.redirects[self.path])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.server_cert, certificates.server_key)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.address = f"https://localhost:{server.server_port}"
            yield self
            server.shutdown()
