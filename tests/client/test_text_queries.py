"""Texts as queries, from the client on: a small text tower, trained on drawn pictures and their descriptions."""

from __future__ import annotations

import itertools
import json
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from afterimage.client import AfterimageError, AsyncClient, Client, InvalidArgument, NewRecord, Term, unpack_vector
from service.encoder.builtin.features import prepared
from service.encoder.builtin.generator.grounds import white
from service.encoder.builtin.generator.objects import KINDS, LAYER_SIDE, Thing, draw
from service.encoder.builtin.generator.pairs import PICTURE_SIDE
from service.encoder.builtin.generator.views import compose, photographed
from service.encoder.contract import picture_vectors
from service.encoder.kinds import load_kind
from service.encoder.manifest import read_manifest
from service.encoder.registry import BUILTIN_FOLDER
from tests.support.data.pictures import encode
from tests.support.data.two_towers import bag_of_words, text_model, word_tokenizer, write_towers
from tests.support.servers.server import Server, share, start_server
from tests.support.servers.shell import Shell

THINGS = ("mug", "shoe", "tote", "chair")
COLORS = {"red": (0.85, 0.1, 0.15), "blue": (0.15, 0.3, 0.85), "green": (0.1, 0.6, 0.25)}
PATTERNS = ("plain", "striped")
WORDS = (*THINGS, *COLORS, *PATTERNS)
TRAINED, SHOWN = 3, 2  # pictures of each description that the tower learns from, and others that are searched


class Drawn(NamedTuple):
    """A drawn good and what it is."""

    description: str
    pixels: np.ndarray


def goods(numbers: range) -> Iterator[Drawn]:
    """Goods of every description, other ones for other numbers."""
    kinds = {kind.__name__: place for place, kind in enumerate(KINDS)}
    for number, color, pattern, thing in itertools.product(numbers, COLORS, PATTERNS, THINGS):
        rng = np.random.default_rng([number, *(color + pattern + thing).encode()])
        ink = np.broadcast_to(np.array(COLORS[color], np.float32), (LAYER_SIDE, LAYER_SIDE, 3)).copy()
        if pattern == "striped":
            ink[(np.arange(LAYER_SIDE) // 8) % 2 == 0] = 0.97
        layer = draw(Thing(kinds[thing], *(int(n) for n in rng.integers(1 << 62, size=2))), ink)
        picture = compose(rng, layer, white(rng, PICTURE_SIDE), hard=False)
        yield Drawn(f"{color} {pattern} {thing}", photographed(rng, picture, colour_change=0.0))


def trained() -> bytes:
    """The text tower."""
    pictures = load_kind(BUILTIN_FOLDER, read_manifest(BUILTIN_FOLDER), 1)
    shown = list(goods(range(TRAINED)))
    vectors = np.concatenate([picture_vectors(pictures, [prepared(g.pixels)]) for g in shown])
    return text_model(bag_of_words([g.description for g in shown], vectors, WORDS))


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the trained encoder."""
    folder = tmp_path_factory.mktemp("towers")
    write_towers(folder / "encoders", "towers", trained(), word_tokenizer(WORDS))
    server = share(start_server(folder, "--encoders-dir", str(folder / "encoders")))
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def shop(towers: Server) -> Iterator[Client]:
    """A collection of goods that the tower has not seen, each with its description."""
    with towers.client(towers.key("acme")) as client:
        client.create_collection("c", encoder_id="towers")
        shown = list(goods(range(TRAINED, TRAINED + SHOWN)))
        records = [
            NewRecord(f"{n}", image=encode_pixels(g.pixels), attributes={"is": g.description.split()})
            for n, g in enumerate(shown)
        ]
        for start in range(0, len(records), 100):
            assert all(r.error is None for r in client.insert("c", records[start : start + 100]))
        yield client


def encode_pixels(pixels: np.ndarray) -> bytes:
    from PIL import Image

    return encode(Image.fromarray(pixels))


def descriptions() -> list[str]:
    return [" ".join(words) for words in itertools.product(COLORS, PATTERNS, THINGS)]


def hits(client: Client, query: Term | Sequence[Term], k: int = SHOWN) -> list[set[str]]:
    return [set(h.attributes["is"]) for h in client.search("c", query, k=k).hits]  # type: ignore[arg-type]


def test_a_text_finds_what_it_describes(shop: Client) -> None:
    first = {d: hits(shop, Term(text=d), k=1)[0] for d in descriptions()}
    whole = np.mean([set(d.split()) == found for d, found in first.items()])
    by_word = {w: np.mean([w in found for d, found in first.items() if w in d.split()]) for w in WORDS}
    assert whole > 0.7, (whole, by_word)  # by chance 0.02
    assert min(by_word.values()) > 0.6, by_word
    assert hits(shop, Term(text="A RED striped MUG, please"))[0] == {"red", "striped", "mug"}


def test_single_words_find_their_kind_colour_or_pattern(shop: Client) -> None:
    precision = {w: np.mean([w in found for found in hits(shop, Term(text=w), k=10)]) for w in WORDS}
    assert np.mean(list(precision.values())) > 0.8, precision


def test_a_text_beside_a_picture_moves_the_query(shop: Client) -> None:
    mug = next(g for g in goods(range(90, 91)) if g.description == "red plain mug")
    picture = Term(image=encode_pixels(mug.pixels))
    assert "mug" in hits(shop, picture)[0]
    assert hits(shop, [picture, Term(text="blue", weight=1.0), Term(text="red", weight=-1.0)])[0] >= {"blue", "mug"}
    assert "red" not in hits(shop, [Term(text="mug"), Term(text="red", weight=-0.7)])[0]


def test_vectors_of_texts_are_those_that_searches_use(towers: Server, shop: Client) -> None:
    one, two, none = shop.encode_texts(["mug", "green chair", " "], encoder_id="towers")
    assert none.error is not None
    assert (none.error.reason, none.error.field) == ("ARGUMENT_INVALID", "texts")
    by_vector = shop.search("c", Term(vector=unpack_vector(two.vector)), k=3)
    assert [h.record_id for h in by_vector.hits] == [
        h.record_id for h in shop.search("c", Term(text="green chair"), k=3).hits
    ]
    (refused,) = shop.encode_texts(["mug"], encoder_id="builtin")
    assert refused.error is not None
    assert (refused.error.reason, refused.error.field) == ("QUERY_UNSUPPORTED", "texts")
    body = json.dumps({"model": "towers", "input": ["green chair", "mug"]}).encode()
    headers = {"authorization": f"Bearer {towers.key('acme')}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://{towers.http}/v1/embeddings", body, headers)
    data = json.loads(urllib.request.urlopen(request).read())["data"]
    expected = [unpack_vector(v.vector) for v in (two, one)]
    assert np.allclose([d["embedding"] for d in data], expected, atol=1e-6)


def test_a_search_id_of_a_text_stands_for_it(shop: Client) -> None:
    first = shop.search("c", Term(text="green chair"), with_search_id=True)
    again = shop.search("c", Term(search_id=first.search_id))
    assert [(h.record_id, h.distance) for h in again.hits] == [(h.record_id, h.distance) for h in first.hits]


async def test_async_over_http_and_on_the_command_line(towers: Server, shop: Client, tmp_path: Path) -> None:
    expected = shop.search("c", Term(text="blue striped tote"), k=1).hits[0].record_id
    key = towers.key("acme")
    async with AsyncClient(towers.target, key) as other:
        assert (await other.search("c", Term(text="blue striped tote"), k=1)).hits[0].record_id == expected
    body = json.dumps({"query": [{"text": "blue striped tote"}], "k": 1}).encode()
    head = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"http://{towers.http}/v1/collections/c:search", body, head)
    ) as response:
        assert json.load(response)["hits"][0]["recordId"] == expected
    shell = Shell(towers, "acme", tmp_path / "state")
    alone = shell.json("search", "c", "--text", "blue striped tote", "-k", "1")
    assert alone["hits"][0]["record_id"] == expected
    beside = shell.json("search", "c", "--text", "mug", "--text-weight", "0.5", "--color", "#2846c8", "-k", "1")
    assert set(beside["hits"][0]["attributes"]["is"]) >= {"mug", "blue"}


def test_bad_texts_are_refused_with_the_reason(shop: Client, client: Client) -> None:
    for text, said in (("  ", "empty"), ("x" * 1001, "1001 characters; at most 1000"), ("quixotic", "makes nothing")):
        with pytest.raises(InvalidArgument, match=said) as caught:
            shop.search("c", Term(text=text))
        assert caught.value.field == "query.text"
    assert {e.id: e.takes_text for e in shop.server_info().encoders} == {"builtin": False, "towers": True}
    client.create_collection("c")
    with pytest.raises(AfterimageError, match="the encoder 'builtin' has no text tower") as unsupported:
        client.search("c", Term(text="red mug"))
    assert unsupported.value.reason == "QUERY_UNSUPPORTED"
    with pytest.raises(InvalidArgument, match="color and text are given"):
        shop.search("c", Term(text="red", color="red"))
    assert "red mug" not in repr(Term(text="red mug"))
