"""Marked pictures over HTTP: as a body, in a form, in base64, in a stream, compressed, and badly."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

_BOUNDARY = "a-boundary"
_FORM_TYPE = f"multipart/form-data; boundary={_BOUNDARY}"


class HttpSender:
    """Sends pictures to collection `c`, which exists. `next_picture`: makes another one."""

    def __init__(self, address: str, key: str, next_picture: Callable[[], bytes]) -> None:
        self._address, self._key, self._next = address, key, next_picture
        self._numbers = iter(range(1_000_000))

    def send_everywhere(self) -> None:
        """Sends some fifty pictures."""
        self._send_bytes()
        self._send_forms()
        self._send_base64()
        self._send_compressed()
        self._send_badly()

    def _send_bytes(self) -> None:
        for path in ("/v1/collections/c:search?k=3", "/v1/collections/c:classify?attribute=color", "/v1/encode"):
            self._ok(path, self._next(), "image/bmp")
        for _ in range(3):
            self._ok(f"/v1/collections/c/records:insert?record_id=h{next(self._numbers)}", self._next(), "image/bmp")

    def _send_forms(self) -> None:
        records = json.dumps({"records": [{"recordId": f"h{next(self._numbers)}"} for _ in range(4)]})
        parts = {f"image-{n}": self._next() for n in range(4)}
        self._form("/v1/collections/c/records:insert", {"request": records.encode(), **parts})
        self._form("/v1/collections/c:search", {"k": b"3", "image": self._next()})
        self._form("/v1/rank", {"query": self._next(), "image-0": self._next()})

    def _send_base64(self) -> None:
        query = {"query": [{"image": self._text()}], "k": 3}
        self._json("/v1/collections/c:search", query)
        self._json("/v1/embeddings", {"input": [f"data:image/bmp;base64,{self._text()}" for _ in range(2)]})
        self._json("/afterimage.v1.SearchService/Search", {"collection": "c", **query})
        records = {"records": [{"recordId": f"h{next(self._numbers)}", "image": self._text()} for _ in range(2)]}
        self._json("/v1/collections/c/records:insert", records)
        self._json("/v1/collections/c/records:insert", {"records": [{"recordId": "big", "image": self._text()}] * 30})
        lines = (
            json.dumps({"records": [{"recordId": f"h{next(self._numbers)}", "image": self._text()}]}).encode() + b"\n"
            for _ in range(4)
        )
        self._ok("/v1/collections/c/records:import", lines, "application/x-ndjson")

    def _send_compressed(self) -> None:
        search, inserts = "/v1/collections/c:search?k=3", "/v1/collections/c/records:insert"
        self._ok(search, gzip.compress(self._next()), "image/bmp", coding="gzip")
        form = _form_of({"request": b"{}", "image-0": self._next(), "image-1": self._next()})
        self._ok("/v1/encode", gzip.compress(form), _FORM_TYPE, coding="gzip")
        query = json.dumps({"query": [{"image": self._text()}], "k": 3}).encode()
        self._ok("/v1/collections/c:search", gzip.compress(query), "application/json", coding="gzip")
        inputs: list[Any] = [f"data:image/bmp;base64,{self._text()}", {"image": self._text()}]
        embeddings = json.dumps({"input": inputs}).encode()
        self._ok("/v1/embeddings", gzip.compress(embeddings), "application/json", coding="gzip")
        lines = [{"records": [{"recordId": f"h{next(self._numbers)}", "image": self._text()}]} for _ in range(3)]
        text = b"\n".join(json.dumps(line).encode() for line in lines)
        self._ok("/v1/collections/c/records:import", gzip.compress(text), "application/x-ndjson", coding="gzip")
        twice = b'{"records": [{"recordId": "1", "image": "%s", "image": "%s"}]}'
        body = gzip.compress(twice % (self._text().encode(), self._text().encode()))
        for raw, kind in ((body, "application/json"), (gzip.compress(self._next())[:-9], "image/bmp")):
            assert self._sent(inserts, raw, kind, coding="gzip")[0] == 400
        assert self._sent(search, self._next(), "image/bmp", coding="br")[0] == 415

    def _send_badly(self) -> None:
        for status, path, body, kind in (
            (400, "/v1/collections/c:search?k=none", self._next(), "image/bmp"),
            (404, "/v1/collections/none:search?k=3", self._next(), "image/bmp"),
            (404, "/v1/none", self._next(), "image/bmp"),
            (415, "/v1/sources", self._next(), "image/bmp"),
            (
                400,
                "/v1/collections/c:search",
                b'{"query": [{"image": "' + self._text().encode() + b'"}',
                "application/json",
            ),
            (400, "/v1/collections/c:search", json.dumps({"k": self._text()}).encode(), "application/json"),
            (400, "/v1/collections/c:search", b"--x\r\n\r\n" + self._next(), "multipart/form-data; boundary=x"),
        ):
            assert self._sent(path, body, kind)[0] == status, path
        assert self._sent("/v1/encode", self._next(), "image/bmp", key="none")[0] == 401
        for kind in ("image/bmp", f"multipart/form-data; boundary={_BOUNDARY}", "application/json"):
            self._go_away(kind)

    def _go_away(self, kind: str) -> None:
        """Sends most of a body, and leaves."""
        head = (
            f"POST /v1/collections/c:search?k=3 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: 1000000\r\n\r\n"
        )
        host, _, port = self._address.rpartition(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + self._next())

    def _text(self) -> str:
        return base64.b64encode(self._next()).decode()

    def _json(self, path: str, message: Any) -> None:
        self._ok(path, json.dumps(message).encode(), "application/json")

    def _form(self, path: str, parts: dict[str, bytes]) -> None:
        self._ok(path, _form_of(parts), _FORM_TYPE)

    def _ok(self, path: str, body: bytes | Iterator[bytes], kind: str, coding: str = "identity") -> None:
        status, answer = self._sent(path, body, kind, coding=coding)
        assert status == 200, (path, answer[:500])
        assert b"FAILED" not in answer, answer[:500]

    def _sent(
        self, path: str, body: bytes | Iterator[bytes], kind: str, key: str = "", coding: str = "identity"
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            headers = {"Authorization": f"Bearer {key or self._key}", "Content-Type": kind, "Content-Encoding": coding}
            connection.request("POST", path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def _form_of(parts: dict[str, bytes]) -> bytes:
    body = b"".join(
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + content + b"\r\n"
        for name, content in parts.items()
    )
    return body + f"--{_BOUNDARY}--\r\n".encode()
