"""The console as it is served: files, headers, who may ask."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from service.metrics import Metrics
from service.web.api.callers import Callers, Entry
from service.web.console.files import read_files
from service.web.console.pages import ConsolePages, content_security_policy
from service.web.http import HttpPlace, HttpServer, Pages
from service.web.open_pages import Readiness, Vitals

HOSTS = ("https://cdn.shop.example",)


class Served:
    """The console on a port of its own."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url, self.admitted = session, url, True

    async def get(self, path: str, verb: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
        """The answer as it is on the wire."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(self.url + path, encoded=True)
        async with self.session.request(verb, url, headers=given, skip_auto_headers=("accept-encoding",)) as answer:
            return answer.status, answer.headers, await answer.read()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    made: list[Served] = []
    pages = ConsolePages(Callers(Entry(hosts=("search.example",))), lambda request: made[0].admitted, HOSTS)
    http = HttpServer(Vitals(Metrics(), lambda: Readiness(True), lambda: None), HttpPlace(), Pages(pages.pages()))
    await http.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        made.append(Served(session, f"http://127.0.0.1:{http.port}"))
        yield made[0]
    await http.stop()


async def test_every_file_that_the_page_imports_is_served_with_its_type_for_good(served: Served) -> None:
    _, _, index = await served.get("/")
    links = re.findall(rb'(?:src|href)="(console/[^"]+)"', index)
    todo, seen = [f"/{link.decode()}" for link in links], set[str]()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        status, headers, body = await served.get(path)
        assert (status, headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable"), path
        kind = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}[path.rpartition(".")[2]]
        assert headers["Content-Type"].partition(";")[0] == kind
        for found in re.findall(r'from\s*"([^"\n]+\.js)"', body.decode()) if path.endswith(".js") else ():
            assert found.startswith("."), f"{path} imports {found}: only relative paths work without a build"
            todo.append(str(Path(path).parent.joinpath(found).resolve()))
    files = read_files()
    unused = {f"/console/{files.version}/{name}" for name in files.assets} - seen
    assert not unused, "files that the page does not use"


async def test_files_are_revalidated_compressed_and_answered_to_head(served: Served) -> None:
    status, headers, plain = await served.get("/")
    assert (status, headers["Cache-Control"], headers["Vary"]) == (200, "no-cache", "Accept-Encoding")
    assert "Content-Encoding" not in headers
    _, small, body = await served.get("/", accept_encoding="br, gzip")
    assert (small["Content-Encoding"], gzip.decompress(body)) == ("gzip", plain)
    _, none, body = await served.get("/", accept_encoding="gzip;q=0")
    assert ("Content-Encoding" not in none, body) == (True, plain)
    for known in (headers["ETag"], f'"other", W/{headers["ETag"]}', "*"):
        assert (await served.get("/", if_none_match=known))[0] == 304
    assert (await served.get("/", if_none_match='"other"'))[0] == 200
    status, headers, body = await served.get("/", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(plain)), b"")


async def test_each_answer_has_the_policy_of_the_page(served: Served) -> None:
    version = read_files().version
    for path, status in (
        ("/", 200), ("/favicon.ico", 200), (f"/console/{version}/page/main.js", 200), ("/console/0/page/main.js", 404),
        (f"/console/{version}/page/../files.py", 404), (f"/console/{version}/page/%2e%2e/files.py", 404),
        (f"/console/{version}/vendor/LICENSE-htm", 404),
    ):  # fmt: skip
        found, headers, _ = await served.get(path)
        assert found == status, path
        if found == 404 and "files.py" in path:
            continue  # no path of the console at all
        assert headers["Content-Security-Policy"] == content_security_policy(HOSTS)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Set-Cookie" not in headers


def test_the_policy_lets_only_files_of_the_server_run() -> None:
    rules = dict(rule.split(" ", 1) for rule in content_security_policy(HOSTS).split("; "))
    assert rules == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'",
        "img-src": "'self' blob: https://cdn.shop.example", "connect-src": "'self'", "form-action": "'none'",
        "frame-ancestors": "'none'", "base-uri": "'none'", "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }  # fmt: skip


async def test_the_name_of_another_server_and_too_many_requests_are_refused(served: Served) -> None:
    for host, status in (
        ("search.example", 200), ("localhost:80", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("evil.example", 421),
        ("search.example.evil.example", 421), ("", 421),
    ):  # fmt: skip
        for path in ("/", f"/console/{read_files().version}/page/main.js"):
            assert (await served.get(path, host=host))[0] == status, host
    assert b"HOST_UNKNOWN" in (await served.get("/", host="evil.example"))[2]
    served.admitted = False
    assert (await served.get("/"))[0] == 429


def test_each_change_of_a_file_is_a_new_version() -> None:
    assert read_files().version == read_files(HOSTS).version
    assert len(read_files().version) == 16
    assert HOSTS[0].encode() in read_files(HOSTS).index.body
    assert read_files(HOSTS).index.etag != read_files().index.etag
