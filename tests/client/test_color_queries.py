"""Colours as queries, from the client on: alone, beside pictures and records, over gRPC and over HTTP."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from afterimage.client import AsyncClient, Client, Hit, InvalidArgument, NewRecord, Region, Term, unpack_vector
from tests.support.data.pictures import encode
from tests.support.servers.server import Server
from tests.support.servers.shell import Shell

PAINTS = {"red": (208, 32, 48), "green": (30, 150, 60), "blue": (40, 70, 200), "grey": (128, 128, 128)}


def disc(rgb: tuple[int, int, int]) -> bytes:
    """A disc of 72 pixels in the middle of a white picture."""
    rows, columns = np.mgrid[:96, :96] - 47.5
    pixels = np.full((96, 96, 3), 255, np.uint8)
    pixels[rows**2 + columns**2 <= 36**2] = rgb
    return encode(Image.fromarray(pixels))


def striped(rgb: tuple[int, int, int]) -> bytes:
    """A picture with a form: stripes of the colour on white."""
    pixels = np.full((96, 96, 3), 255, np.uint8)
    pixels[:, ::16], pixels[20:76, 20:76] = rgb, rgb
    return encode(Image.fromarray(pixels))


def painted(client: Client) -> None:
    client.create_collection("c")
    client.insert("c", [NewRecord(f"{name} disc", image=disc(rgb)) for name, rgb in PAINTS.items()])
    client.insert("c", [NewRecord(f"{name} striped", image=striped(rgb)) for name, rgb in PAINTS.items()])


def colour_distances(client: Client, color: tuple[int, int, int]) -> dict[str, float]:
    """The oracle: cosine distances of the colour blocks, from the vectors that the API returns."""
    size = 64
    query = np.array(unpack_vector(client.encode([disc(color)])[0].vector))[:size]
    records = client.records("c", include_vectors=True)
    blocks = {r.record_id: np.array(unpack_vector(r.vector))[:size] for r in records}
    return {n: 1 - float(v @ query / np.linalg.norm(v) / np.linalg.norm(query)) for n, v in blocks.items()}


def test_a_color_is_compared_by_the_colour_block_of_a_disc_of_it(client: Client) -> None:
    painted(client)
    found = client.search("c", Term(color="#d02030"))
    expected = colour_distances(client, PAINTS["red"])
    assert {h.record_id: h.distance for h in found.hits} == pytest.approx(expected, abs=3e-3)
    assert [h.record_id for h in found.hits] == sorted(expected, key=lambda n: found_distance(found.hits, n))
    assert found.hits[0].record_id == "red disc"
    assert found.hits[0].distance == pytest.approx(0, abs=1e-3)
    assert found.weights == {"shape": 0.0}
    assert not found.learned_order


def found_distance(hits: Sequence[Hit], name: str) -> float:
    return next(h.distance for h in hits if h.record_id == name)


def test_a_search_id_of_a_color_stands_for_it(client: Client) -> None:
    painted(client)
    first = client.search("c", Term(color="blue"), k=8, with_search_id=True)
    again = client.search("c", Term(search_id=first.search_id), k=8)
    assert [(h.record_id, h.distance) for h in again.hits] == [(h.record_id, h.distance) for h in first.hits]


def test_a_color_beside_a_picture_asks_for_its_form_in_that_color(client: Client) -> None:
    painted(client)
    for name in PAINTS:
        terms = [Term(image=striped(PAINTS["red"])), Term(color="#{:02x}{:02x}{:02x}".format(*PAINTS[name]))]
        assert client.search("c", terms).hits[0].record_id == f"{name} striped"
    away = client.search("c", [Term(record_id="red striped"), Term(color="#d02030", weight=-1)])
    assert away.hits[0].record_id != "red disc"
    assert away.weights == {}


def test_classify_takes_a_color(client: Client) -> None:
    client.create_collection("c")
    client.insert("c", [NewRecord(n, image=striped(rgb), attributes={"paint": n}) for n, rgb in PAINTS.items()])
    labels, _ = client.classify("c", Term(color="#d02030"), "paint", k=1)
    assert [label.value for label in labels] == ["red"]


def test_bad_colors_are_refused_with_the_field_and_nothing_else_is_set_beside_them(client: Client) -> None:
    painted(client)
    for color in ("reddish", "#12345", "rgb(1,2,3)"):
        with pytest.raises(InvalidArgument, match="CSS") as caught:
            client.search("c", Term(color=color))
        assert caught.value.field == "query.color"
    with pytest.raises(InvalidArgument, match="record_id and color are given"):
        client.search("c", Term(record_id="red disc", color="red"))
    with pytest.raises(InvalidArgument, match="region can only be set with a picture"):
        client.search("c", Term(color="red", region=Region(0, 0, 0.5, 0.5)))
    with pytest.raises(InvalidArgument, match="cancel each other out"):
        client.search("c", [Term(color="red"), Term(color="red", weight=-1)])


async def test_an_async_client_searches_by_color(server: Server, client: Client, tenant_name: str) -> None:
    painted(client)
    async with AsyncClient(server.target, server.key(tenant_name)) as other:
        found = await other.search("c", Term(color="green"))
    assert found.hits[0].record_id == "green disc"


def test_over_http_a_color_is_a_field_of_a_term(server: Server, client: Client, tenant_name: str) -> None:
    painted(client)
    body = json.dumps({"query": [{"color": "#2846c8"}], "k": 1}).encode()
    head = {"authorization": f"Bearer {server.key(tenant_name)}", "content-type": "application/json"}
    asked = urllib.request.Request(f"http://{server.http}/v1/collections/c:search", body, head)
    with urllib.request.urlopen(asked) as response:
        assert json.load(response)["hits"][0]["recordId"] == "blue disc"


def test_the_command_searches_by_color_alone_and_beside_a_record(
    server: Server, client: Client, tenant_name: str, tmp_path: Path
) -> None:
    painted(client)
    shell = Shell(server, tenant_name, tmp_path / "state")
    alone = shell.json("search", "c", "--color", "#d02030", "-k", "1")
    assert alone["hits"][0]["record_id"] == "red disc"
    beside = shell.json("search", "c", "--id", "red striped", "--color", "#2846c8=0.8", "-k", "1")
    assert beside["hits"][0]["record_id"] == "blue striped"
    for bad in (["--color", "=1"], ["--color", "red=much"], []):
        assert shell.run("search", "c", *bad, code=2) == ""
