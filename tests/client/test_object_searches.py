"""Objects in pictures, from the client on: found, searched with, over gRPC and over HTTP, and from the shell."""

from __future__ import annotations

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from afterimage.client import (
    AsyncClient,
    Client,
    DetectedObject,
    InvalidArgument,
    NewRecord,
    Picture,
    Region,
    ResourceExhausted,
    Term,
)
from service.tenancy.limits import Limits
from tests.support.data.detectors.graphs import SIDE
from tests.support.data.pictures import encode
from tests.support.servers.server import Server
from tests.support.servers.shell import Shell

RED, BLUE, DIM = (230, 40, 50), (40, 60, 240), (120, 20, 20)
Things = dict[tuple[int, int, int, int], tuple[int, int, int]]


def scene(things: Things, side: int = 2 * SIDE, *, orientation: int = 1) -> bytes:
    """A dark picture with striped rectangles (left, top, right, bottom in pixels), of the side of two inputs."""
    pixels = np.full((side, side, 3), 10, np.uint8)
    for (left, top, right, bottom), colour in things.items():
        pixels[top:bottom, left:right] = colour
        pixels[top + 6 : bottom - 6 : 8, left + 6 : right - 6] = 10
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(Image.fromarray(pixels), exif=exif)


LEFT, RIGHT = (10, 20, 50, 100), (80, 30, 120, 90)
BOTH = scene({LEFT: RED, RIGHT: BLUE})


def region_of(corners: tuple[int, int, int, int], side: int = 2 * SIDE) -> Region:
    return Region(*(corner / side for corner in corners))


def near(region: Region) -> Any:
    return pytest.approx((region.left, region.top, region.right, region.bottom), abs=0.02)


def sides(found: DetectedObject) -> tuple[float, float, float, float]:
    return found.region.left, found.region.top, found.region.right, found.region.bottom


def test_objects_are_found_with_their_regions(client: Client) -> None:
    brighter = scene({LEFT: RED, RIGHT: BLUE})
    (found,) = client.detect_objects([brighter])
    assert found.error is None
    assert [sides(o) for o in found.objects] == [near(region_of(RIGHT)), near(region_of(LEFT))]  # 240 before 230
    assert [o.label for o in found.objects] == ["object", "object"]
    assert [o.score for o in found.objects] == pytest.approx([240 / 255, 230 / 255], abs=0.02)
    detector = client.server_info().detector
    assert detector is not None
    assert (detector.id, detector.labels, detector.min_score) == ("bright", ("object",), 0.5)


def test_regions_are_of_the_upright_picture(client: Client) -> None:
    """The camera lay on its side: turned by the EXIF orientation 6, the thing at the left is at the top."""
    (found,) = client.detect_objects([scene({LEFT: RED}, orientation=6)])
    left, top, right, bottom = (side / (2 * SIDE) for side in LEFT)
    turned = Region(1 - bottom, left, 1 - top, right)
    assert len(found.objects) == 2  # it lies across the middle, and the detector looks at halves
    boxes = [sides(o) for o in found.objects]
    whole = [min(b[0] for b in boxes), boxes[0][1], max(b[2] for b in boxes), boxes[0][3]]
    assert whole == near(turned)


def test_a_region_is_looked_at_alone_and_objects_are_still_of_the_whole_picture(client: Client) -> None:
    half = Region(0.5, 0.0, 1.0, 1.0)
    (found,) = client.detect_objects([Picture(BOTH, region=half)])
    boxes = [sides(o) for o in found.objects]
    whole = [min(b[0] for b in boxes), boxes[0][1], max(b[2] for b in boxes), boxes[0][3]]
    assert whole == near(region_of(RIGHT))


def test_scores_and_numbers_of_objects_are_limited_by_the_call(client: Client) -> None:
    dim = scene({LEFT: DIM, RIGHT: BLUE})
    found = client.detect_objects([dim]), client.detect_objects([dim], min_score=0.1)
    assert [len(f[0].objects) for f in found] == [1, 2]
    assert len(client.detect_objects([BOTH], max_objects=1)[0].objects) == 1
    assert client.detect_objects([scene({})])[0].objects == ()
    for wrong, field in (({"max_objects": 33}, "max_objects"), ({"min_score": 1.5}, "min_score")):
        with pytest.raises(InvalidArgument) as caught:
            client.detect_objects([BOTH], **wrong)
        assert caught.value.field == field


def test_a_bad_picture_fails_alone(client: Client) -> None:
    bad, good = client.detect_objects([b"no picture", BOTH])
    assert bad.error is not None
    assert (bad.error.reason, bad.objects) == ("IMAGE_FORMAT_UNSUPPORTED", ())
    assert len(good.objects) == 2


def catalogue(client: Client) -> None:
    """One record of each thing, as its own picture."""
    client.create_collection("c")
    things = {"red": (LEFT, RED), "blue": (RIGHT, BLUE), "dim": (LEFT, DIM)}
    records = [
        NewRecord(name, image=scene({where: colour}), product_id=name[0]) for name, (where, colour) in things.items()
    ]
    client.insert("c", records)


def test_each_object_finds_what_its_region_finds(client: Client) -> None:
    """The oracle: the calls that a client without searches by object would make."""
    catalogue(client)
    found = client.search("c", BOTH, k=3, objects="each", min_score=0.01)
    (seen,) = client.detect_objects([BOTH])
    assert tuple(one.object for one in found.objects) == seen.objects
    assert (found.hits, found.groups) == ((), ())
    for one in found.objects:
        alone = client.search("c", Term(image=BOTH, region=one.object.region), k=3, min_score=0.01)
        assert [(h.record_id, h.distance) for h in one.hits] == [(h.record_id, h.distance) for h in alone.hits]
        assert alone.hits
    blue, red = found.objects
    assert [h.record_id for h in blue.hits] != [h.record_id for h in red.hits]
    assert found.allowed_count == 3


def test_groups_and_search_ids_are_of_each_object(client: Client) -> None:
    catalogue(client)
    found = client.search("c", BOTH, k=2, objects="each", group_by="product_id", with_search_id=True)
    for one in found.objects:
        again = client.search("c", Term(search_id=one.search_id), k=2, group_by="product_id")
        assert [g.product_id for g in one.groups] == [g.product_id for g in again.groups]
        assert len(one.groups) == 2


def test_a_picture_without_objects_is_searched_with_as_a_whole(client: Client) -> None:
    catalogue(client)
    found = client.search("c", scene({}), k=1, objects="each")
    (one,) = found.objects
    assert one.object == DetectedObject(Region(0, 0, 1, 1), "", 0)
    assert [h.distance for h in one.hits] == [h.distance for h in client.search("c", scene({}), k=1).hits]


def test_searches_that_cannot_be_for_each_object_are_refused(client: Client) -> None:
    catalogue(client)
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (Term(record_id="red"), {}, "query"),
        ([Term(image=BOTH), Term(record_id="red")], {}, "query"),
        (BOTH, {"facets": ["color"]}, "facets"),
        (BOTH, {"k": 1000, "max_objects": 11}, "max_objects"),
        (BOTH, {"max_objects": 33}, "max_objects"),
        (BOTH, {"objects": "none", "max_objects": 3}, "max_objects"),
        (BOTH, {"objects": "some"}, "objects"),
    ]
    for query, options, field in wrong:
        with pytest.raises(InvalidArgument) as caught:
            client.search("c", query, **{"objects": "each", **options})
        assert caught.value.field == field


def test_a_saved_search_can_be_for_each_object(client: Client) -> None:
    catalogue(client)
    client.create_saved_search("c", "things", {"objects": "each", "max_objects": 1, "k": 2})
    assert client.get_saved_search("c", "things").options == {"objects": "each", "max_objects": 1, "k": 2}
    (one,) = client.search("c", BOTH, saved_search="things").objects
    assert len(one.hits) == 2


def test_each_picture_that_is_looked_at_and_each_object_counts_to_the_quota(server: Server, tenant_name: str) -> None:
    key = server.key(tenant_name)
    with server.registry() as registry:
        registry.limits.set(registry.tenant(tenant_name).uid, Limits(pictures_per_day=7))
    with server.client(key) as client:
        client.create_collection("c")
        client.detect_objects([BOTH])  # 1
        client.search("c", BOTH, objects="each")  # 1 and 2 objects
        client.search("c", BOTH, objects="each")
        with pytest.raises(ResourceExhausted, match="7 pictures per day"):
            client.search("c", BOTH, objects="each")
        (refused,) = client.detect_objects([BOTH])
        assert refused.error is not None
        assert refused.error.reason == "QUOTA_EXCEEDED"


async def test_an_async_client_finds_objects(server: Server, tenant_name: str) -> None:
    async with AsyncClient(server.target, server.key(tenant_name)) as client:
        (found,) = await client.detect_objects([BOTH])
    assert len(found.objects) == 2


def test_over_http_objects_are_found_and_searched_with(server: Server, client: Client, tenant_name: str) -> None:
    catalogue(client)
    head = {"authorization": f"Bearer {server.key(tenant_name)}"}

    def post(path: str, body: bytes, kind: str) -> dict[str, Any]:
        asked = urllib.request.Request(f"http://{server.http}{path}", body, head | {"content-type": kind})
        with urllib.request.urlopen(asked) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    (found,) = post("/v1/objects:detect?max_objects=1", BOTH, "image/png")["pictures"]
    assert [o["label"] for o in found["objects"]] == ["object"]
    query = {"query": [{"image": base64.b64encode(BOTH).decode()}], "k": 1, "objects": "OBJECT_SEARCH_EACH"}
    answer = post("/v1/collections/c:search", json.dumps(query).encode(), "application/json")
    assert [len(o["hits"]) for o in answer["objects"]] == [1, 1]


def test_the_commands_find_objects_and_search_with_each(
    server: Server, client: Client, tenant_name: str, tmp_path: Path
) -> None:
    catalogue(client)
    shell, picture = Shell(server, tenant_name, tmp_path / "state"), tmp_path / "both.png"
    picture.write_bytes(BOTH)
    found = shell.json("objects", "detect", str(picture), "--max-objects", "1")
    assert [o["label"] for o in found["objects"]] == ["object"]
    assert "object" in shell.run("objects", "detect", str(picture))
    answer = shell.json("search", "c", str(picture), "--objects", "each", "-k", "2")
    assert [len(o["hits"]) for o in answer["objects"]] == [2, 2]
    assert shell.run("search", "c", str(picture), "--objects", "each", "-k", "1").count("object 0.9") == 2
    shell.run("objects", "detect", str(tmp_path / "none.png"), code=2)
