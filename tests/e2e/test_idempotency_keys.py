"""Idempotency keys on a server: over gRPC and HTTP, by commands, and after kill -9."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from afterimage.client import AlreadyExists, Client, InvalidArgument, NewSource, idempotency_key
from tests.support.servers.server import Server, start_server


def posted(server: Server, key: str, path: str, body: Any, idempotency: str) -> tuple[int, dict[str, Any]]:
    sent = urllib.request.Request(
        f"http://{server.http}{path}", json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json", "Idempotency-Key": idempotency},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(sent) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def created(client: Client, key: str) -> list[Any]:
    """Makes several things, each with a key of its own that depends on `key`."""
    with idempotency_key(key):
        return [
            client.create_collection("shoes"),
            client.create_saved_search("shoes", "similar", {"k": 5}),
            client.create_source(NewSource("feed", "shoes", "https://shop.example/feed", paused=True)),
            client.create_snapshot("shoes"),
            client.create_training_set("labels"),
        ]


def test_what_was_made_under_a_key_is_made_once_also_after_kill_9(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    key = server.key("acme")
    with server.client(key) as client:
        first = created(client, "deploy-1")
        assert created(client, "deploy-1") == first
        with pytest.raises(AlreadyExists):
            client.create_collection("shoes")
        with idempotency_key("deploy-1"), pytest.raises(InvalidArgument) as reused:
            client.create_collection("boots")
        assert reused.value.reason == "IDEMPOTENCY_KEY_REUSED"
        assert client.server_info().takes_idempotency_keys
    server.kill()
    server = start_server(tmp_path)
    with server.client(key) as client:
        assert created(client, "deploy-1") == first
        assert len(client.list_snapshots("shoes")) == 1
        assert [c.name for c in client.collections()] == ["shoes"]
    body = {"name": "hats"}
    answers = [posted(server, key, "/v1/collections", body, '"a 1"') for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0][0] == 200
    assert posted(server, key, "/v1/collections", {"name": "caps"}, '"a 1"')[0] == 422
    status, said = posted(server, key, "/v1/collections", {"name": "caps"}, "no key")
    assert (status, "idempotency-key" in json.dumps(said)) == (400, True)
    server.kill()
