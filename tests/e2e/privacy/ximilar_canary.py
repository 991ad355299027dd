"""Marked pictures along every path of Ximilar's API: in base64, with and without a head, by the hundred, and badly."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Callable
from typing import Any

_PHOTOS = "/ximilar/similarity/photos/v2/"


class XimilarSender:
    """Sends pictures to collection `c`, which exists. `next_picture`: makes another one."""

    def __init__(self, address: str, key: str, next_picture: Callable[[], bytes]) -> None:
        self._address, self._key, self._next = address, key, next_picture

    def send_everywhere(self) -> None:
        """Sends some forty pictures."""
        self._ok(_PHOTOS + "insert", {"records": [self._record(f"x{n}") for n in range(10)]})
        self._ok(_PHOTOS + "visualKNN", {"query_record": self._record()})
        self._ok(_PHOTOS + "nearDuplicates", {"query_record": self._record()})
        self._ok("/ximilar/similarity/colors/v2/visualKNN", {"query_record": self._record()})
        pictures = [self._record() for _ in range(4)]
        self._ok(_PHOTOS + "visualRankRecords", {"query_record": self._record(), "records": pictures})
        self._ok("/ximilar/recognition/v2/classify", {"records": pictures, "task_id": "c:color"})
        self._ok("/ximilar/similarity/training/v2/descriptor", {"records": pictures, "collection": "c"})
        self._ok(_PHOTOS + "update", {"records": [self._record("x1")]})
        self._send_badly()

    def _send_badly(self) -> None:
        one = self._record("x20")
        for status, path, body in (
            (409, "insert", {"records": [self._record("x1")]}),
            (400, "insert", {"records": [{**one, "a-b": 1, "a_b": 2}]}),
            (400, "insert", {"records": [{**one, "_base64": one["_base64"] + "!"}]}),
            (400, "visualKNN", {"query_record": self._record(), "filter": {"$where": self._record()["_base64"]}}),
            (400, "visualKNN", {"query_record": self._record(), "k": 0}),
            (404, "none", {"records": [self._record("x21")]}),
            (400, "insert", {"records": [self._record("x22")] * 101}),
        ):
            assert self._sent(_PHOTOS + path, json.dumps(body).encode())[0] == status, path
        assert self._sent(_PHOTOS + "insert", json.dumps({"records": [one]}).encode()[:-9])[0] == 400
        assert self._sent(_PHOTOS + "insert", json.dumps({"records": [one]}).encode(), key="none")[0] == 401
        self._go_away(json.dumps({"records": [self._record("x23")]}).encode())

    def _go_away(self, part: bytes) -> None:
        """Sends most of a body, and leaves."""
        head = (
            f"POST {_PHOTOS}insert HTTP/1.1\r\nHost: localhost\r\nAuthorization: JWT {self._key}\r\n"
            f"collection-id: c\r\nContent-Length: 1000000\r\n\r\n"
        )
        host, _, port = self._address.rpartition(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + part)

    def _record(self, record_id: str = "") -> dict[str, Any]:
        content = base64.b64encode(self._next()).decode()
        head = "data:image/bmp;base64," if record_id else ""
        return {**({"_id": record_id} if record_id else {}), "_base64": head + content, "color": "red"}

    def _ok(self, path: str, body: dict[str, Any]) -> None:
        status, answer = self._sent(path, json.dumps(body).encode())
        assert status == 200, (path, answer[:500])
        given = json.loads(answer)
        assert not given.get("skipped_records"), answer[:500]
        assert all(r.get("_status", {"code": 200})["code"] == 200 for r in given.get("records", ())), answer[:500]

    def _sent(self, path: str, body: bytes, key: str = "") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            headers = {"Authorization": f"JWT {key or self._key}", "collection-id": "c"}
            connection.request("POST", path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
