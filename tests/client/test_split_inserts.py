"""Inserts that make a record of each object in a picture, from the client on."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from afterimage.client import Client, InvalidArgument, NewRecord, Record, Region, Term
from service.engine.detection.splitting import MOST_PARTS
from service.handlers.request_limits import MAX_OBJECTS
from tests.client.test_object_searches import BLUE, BOTH, LEFT, RED, RIGHT, scene
from tests.support.servers.server import Server
from tests.support.servers.shell import Shell

ONE = scene({LEFT: RED})


def records(client: Client) -> dict[str, Record]:
    return {r.record_id: r for r in client.records("c", include_vectors=True)}


def split(client: Client, *given: NewRecord, **options: Any) -> list[Any]:
    return client.insert("c", given, split_objects=True, **options)


def test_each_object_becomes_a_record_as_its_region_would(client: Client) -> None:
    """The oracle: the calls that a client without split inserts would make."""
    client.create_collection("c")
    (result,) = split(client, NewRecord("7", image=BOTH, attributes={"shelf": "a"}))
    (seen,) = client.detect_objects([BOTH])
    assert [p.object for p in result.parts] == list(seen.objects)
    assert [(p.record_id, p.outcome) for p in result.parts] == [("7#1", "created"), ("7#2", "created")]
    assert (result.record_id, result.outcome, result.removed_record_ids) == ("7", "created", ())
    for number, one in enumerate(seen.objects, 1):
        client.insert("c", [NewRecord(f"alone {number}", image=BOTH, region=one.region)])
    stored = records(client)
    assert set(stored) == {"7#1", "7#2", "alone 1", "alone 2"}
    for number, one in enumerate(seen.objects, 1):
        part, alone = stored[f"7#{number}"], stored[f"alone {number}"]
        assert (part.vector, part.region) == (alone.vector, alone.region)
        expected = {"shelf": "a", "object_of": "7", "object_label": "object", "object_score": pytest.approx(one.score)}
        assert (part.product_id, part.attributes) == ("7", expected)


def test_parts_of_a_product_keep_its_id(client: Client) -> None:
    client.create_collection("c")
    split(client, NewRecord("7", image=BOTH, product_id="p"))
    found = client.search("c", Term(image=BOTH), group_by="product_id", group_size=5)
    assert [(g.product_id, len(g.hits)) for g in found.groups] == [("p", 2)]


def test_the_same_picture_again_changes_nothing(client: Client) -> None:
    client.create_collection("c")
    split(client, NewRecord("7", image=BOTH))
    before = records(client)
    (again,) = split(client, NewRecord("7", image=BOTH))
    assert again.outcome == "unchanged"
    assert records(client) == before


def test_a_picture_with_fewer_objects_removes_the_parts_that_are_left_over_and_nothing_else(client: Client) -> None:
    client.create_collection("c")
    client.insert("c", [NewRecord("7#3", image=BOTH), NewRecord("7", image=BOTH)])
    client.insert("c", [NewRecord("7#4", image=BOTH, attributes={"object_of": "8"})])
    split(client, NewRecord("7", image=BOTH), NewRecord("77", image=BOTH))
    (result,) = split(client, NewRecord("7", image=ONE))
    assert result.removed_record_ids == ("7#2",)
    assert result.outcome == "updated"
    assert set(records(client)) == {"7", "7#1", "7#3", "7#4", "77#1", "77#2"}


def test_all_parts_are_stored_or_none(client: Client) -> None:
    client.create_collection("c")
    client.insert("c", [NewRecord("7#2", image=ONE)])
    before = records(client)
    taken, good = split(client, NewRecord("7", image=BOTH), NewRecord("8", image=BOTH), insert_only=True)
    assert taken.error is not None
    assert (taken.error.reason, taken.parts) == ("RECORD_EXISTS", ())
    assert good.error is None
    assert {i: r for i, r in records(client).items() if not i.startswith("8#")} == before
    long = "x" * 255  # the id of a part is too long
    (refused,) = split(client, NewRecord(long, image=BOTH))
    assert refused.error is not None
    assert not any(i.startswith("x") for i in records(client))


def test_a_picture_without_objects_is_one_part(client: Client) -> None:
    client.create_collection("c")
    (result,) = split(client, NewRecord("7", image=scene({})))
    (part,) = result.parts
    assert (part.record_id, part.object.region, part.object.label) == ("7#1", Region(0, 0, 1, 1), "")
    assert "object_label" not in records(client)["7#1"].attributes


def test_records_that_cannot_be_split_fail_alone(client: Client) -> None:
    client.create_collection("c")
    results = split(
        client, NewRecord("v", vector=b"\0\0\x80?" * 384), NewRecord("a", image=BOTH, attributes={"object_of": "b"}),
        NewRecord("n", image=b"no picture"), NewRecord("7", image=BOTH), max_objects=1,
    )  # fmt: skip
    failed = [(r.record_id, r.error.reason, r.error.field) for r in results if r.error]
    assert failed == [
        ("v", "ARGUMENT_INVALID", "vector"), ("a", "ARGUMENT_INVALID", "attributes"),
        ("n", "IMAGE_FORMAT_UNSUPPORTED", "image"),
    ]  # fmt: skip
    assert set(records(client)) == {"7#1"}
    for options in ({"split_objects": True, "max_objects": 33}, {"max_objects": 3}):
        with pytest.raises(InvalidArgument) as caught:
            client.insert("c", [NewRecord("7", image=BOTH)], **options)  # type: ignore[arg-type]
        assert caught.value.field == "max_objects"


def test_parts_are_deleted_by_the_record_that_they_are_of(client: Client) -> None:
    client.create_collection("c")
    split(client, NewRecord("7", image=BOTH), NewRecord("8", image=ONE))
    assert client.delete_records("c", record_ids=["7"], force=True).record_count == 0
    assert client.delete_records("c", filter='object_of = "7"', force=True).record_count == 2
    assert set(records(client)) == {"8#1"}


def test_as_many_parts_are_looked_for_as_a_picture_may_have() -> None:
    assert MOST_PARTS == MAX_OBJECTS


def test_streams_the_shell_and_http_split_as_well(
    server: Server, client: Client, tenant_name: str, tmp_path: Path
) -> None:
    client.create_collection("c")
    (streamed,) = client.import_records("c", [NewRecord("s", image=BOTH)], split_objects=True)
    assert len(streamed.parts) == 2
    (tmp_path / "file.png").write_bytes(scene({LEFT: BLUE, RIGHT: RED}))
    shell = Shell(server, tenant_name, tmp_path / "state")
    said = shell.json("insert", "c", str(tmp_path / "file.png"), "--split-objects", "--max-objects", "1")
    assert said["created"] == 1
    address = f"http://{server.http}/v1/collections/c/records:insert?record_id=h&split_objects=true"
    head = {"authorization": f"Bearer {server.key(tenant_name)}", "content-type": "image/png"}
    with urllib.request.urlopen(urllib.request.Request(address, BOTH, head)) as response:
        (result,) = json.load(response)["results"]
    assert [p["recordId"] for p in result["parts"]] == ["h#1", "h#2"]
    assert set(records(client)) == {"s#1", "s#2", "file#1", "h#1", "h#2"}
