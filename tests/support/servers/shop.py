"""A shop's web server."""

from __future__ import annotations

import contextlib
import http.server
import queue
import threading
from collections.abc import Iterator

FETCHING = {"AFTERIMAGE_FETCH_NETWORKS": '["127.0.0.1/32"]', "AFTERIMAGE_FETCH_RATE_PER_HOST": "1000"}  # of a server


class Shop:
    """A web server with changing files. `requests` are (path, If-None-Match), `headers` those of all requests.

    - `statuses`: status codes by path.
    - `open`: pictures wait until it is set.
    - `authorization`: the required header for the feed.
    """

    def __init__(self) -> None:
        self.pictures: dict[str, bytes] = {}
        self.etags = True
        self.requests: list[tuple[str, str]] = []
        self.headers: list[tuple[str, str]] = []
        self.address = ""
        self.statuses: dict[str, int] = {}
        self.authorization = ""
        self.told: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._counting, self._left, self._alarm = threading.Lock(), 0, threading.Event()
        self.open = threading.Event()
        self.open.set()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        shop = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.headers += [(name.lower(), value) for name, value in self.headers.items()]
                shop.requests.append((self.path, self.headers.get("If-None-Match", "")))
                if self.path.endswith(".png"):
                    shop.open.wait(60)
                    shop.count_down()
                known, body = self.path in shop.pictures, shop.pictures.get(self.path, b"")
                etag = f'"{hash(body)}"' if shop.etags else ""
                status = 404 if not known else 304 if etag and self.headers.get("If-None-Match") == etag else 200
                status = shop.statuses.get(self.path, status)
                if shop.authorization and self.path.startswith("/feed"):
                    status = status if self.headers.get("Authorization") == shop.authorization else 401
                self.send_response(status)
                if etag:
                    self.send_header("ETag", etag)
                self.send_header("Content-Length", str(len(body) if status == 200 else 0))
                self.end_headers()
                if status == 200:
                    self.wfile.write(body)

            def do_POST(self) -> None:
                shop.headers += [(name.lower(), value) for name, value in self.headers.items()]
                body = self.rfile.read(int(self.headers["Content-Length"]))
                shop.told.put((self.headers["Afterimage-Signature"], body))
                self.send_response(shop.statuses.pop("POST", 204))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.address = f"http://127.0.0.1:{server.server_port}"
            yield
            server.shutdown()

    def alarm(self, pictures: int) -> threading.Event:
        """An event that is set after the given number of further requests for pictures."""
        with self._counting:
            self._left, self._alarm = pictures, threading.Event()
        return self._alarm

    def count_down(self) -> None:
        """Counts a request for a picture."""
        with self._counting:
            self._left -= 1
            if self._left <= 0:
                self._alarm.set()

    def asked(self, suffix: str = ".png") -> list[str]:
        """Requested paths that were not answered with 304, in order."""
        return [path for path, version in self.requests if path.endswith(suffix) and not version]
