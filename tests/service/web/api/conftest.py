"""The API over HTTP, over everything that surrounds calls and handlers that tests script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from yarl import URL

from service.tenancy.apikeys import Scope
from service.tenancy.stored_keys import NewKey
from tests.support.servers.faces import Faces


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [orjson.loads(line) for line in self.body.splitlines()]

    @property
    def reason(self) -> str:
        """Of an error."""
        return str(next(d["reason"] for d in self.json["details"] if d["@type"].endswith("ErrorInfo")))


@dataclass
class Http:
    """A client of the API, and what its handlers were given."""

    faces: Faces
    session: aiohttp.ClientSession
    seen: list[Any] = field(default_factory=list)

    @property
    def last(self) -> Any:
        """The newest request message."""
        return self.seen[-1]

    def key(self, *scopes: Scope) -> dict[str, str]:
        """The header of a new key; of all scopes by default."""
        made = self.faces.registry.api_keys.create(self.faces.uid, NewKey(frozenset(scopes or Scope)))
        return {"authorization": f"Bearer {made}"}

    async def send(self, verb: str, path: str, headers: dict[str, str] | None = None, **given: Any) -> Answer:
        """One request, exactly as it is written; with a key, unless headers are given."""
        shown = self.key() if headers is None else headers
        url = URL(self.faces.http + path, encoded=True)
        given = {"skip_auto_headers": ("content-type",), **given} if "data" in given else given
        async with self.session.request(verb, url, headers=shown, **given) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[Http]:
    async with Faces(tmp_path) as faces, aiohttp.ClientSession() as session:
        made = Http(faces, session)

        async def note(request: Any, caller: Any) -> None:
            made.seen.append(request)

        faces.script = note
        yield made
