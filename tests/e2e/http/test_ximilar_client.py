"""The unchanged client of Ximilar works on a real server."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from ximilar.client import RecognitionClient
from ximilar.client.search import SimilarityColorsClient, SimilarityFashionClient, SimilarityPhotosClient
from ximilar.client.similarity import CustomSimilarityClient

from afterimage.client import Client
from service.tenancy.apikeys import Scope
from service.web.ximilar.mongo_filter import compile_filter
from tests.service.web.ximilar.mongo_oracle import FILTERS, matches, sample_documents
from tests.support.data.pictures import png
from tests.support.servers.server import Server, start_server
from tests.support.servers.shop import FETCHING, Shop

_TENANT, _NUMBER = "shop-of-ximilar", 12


def text(seed: int) -> str:
    return base64.b64encode(png(seed)).decode()


def record(number: int) -> dict[str, Any]:
    return {
        "_id": str(number), "_base64": text(number), "product_id": number // 2, "color": ("red", "blue")[number % 2],
        "price": number, "meta-category-x": f"m{number}", "size": {"eu": 40 + number}, "tags": ["all", f"t{number}"],
    }  # fmt: skip


def calls(door: Door, method: str) -> float:
    """How many calls of a method the server has made."""
    page = requests.get(f"http://{door.server.http}/metrics", timeout=60).text
    lines = [line for line in page.splitlines() if line.startswith("afterimage_calls_total") and method in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@dataclass
class Door:
    """The clients of a shop, and its collection `shoes` with twelve records."""

    server: Server
    key: str
    native: Client
    hosts: list[str] = field(default_factory=list)

    @property
    def root(self) -> str:
        return f"http://{self.server.http}/ximilar/"

    def photos(self, key: str = "", collection: str = "shoes") -> Any:
        endpoint = self.root + "similarity/photos/v2/"
        return SimilarityPhotosClient(key or self.key, collection, endpoint, resource_name=None)


@pytest.fixture(scope="module")
def door(server: Server) -> Iterator[Door]:
    key = server.key(_TENANT)
    with server.client(key) as native:
        native.create_collection("shoes")
        made = Door(server, key, native)
        assert made.photos().insert([record(n) for n in range(_NUMBER)])["status"]["code"] == 210
        yield made


@pytest.fixture(autouse=True)
def _only_here(door: Door, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Notes every host that is looked up or connected to, and lets only this machine's through."""
    door.hosts.clear()
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def note_connect(connection: socket.socket, address: Any) -> None:
        door.hosts.append(f"{address[0]}:{address[1]}" if type(address) is tuple else str(address))
        connect(connection, address)

    def note_resolve(host: Any, *arguments: Any, **options: Any) -> Any:
        if host not in ("127.0.0.1", "localhost"):
            door.hosts.append(str(host))
            raise OSError("not in a test")
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket.socket, "connect", note_connect)
    monkeypatch.setattr(socket, "getaddrinfo", note_resolve)
    yield
    assert all(h == "api.ximilar.com" or h.startswith("127.0.0.1:") for h in door.hosts)


def test_a_constructor_without_a_resource_asks_nobody_and_one_with_it_asks_the_vendor(door: Door) -> None:
    assert door.photos().ping()["status"]["code"] == 200
    assert set(door.hosts) == {door.server.http}
    with pytest.raises(OSError):
        SimilarityPhotosClient(door.key, "shoes", door.root + "similarity/photos/v2/")
    assert "api.ximilar.com" in door.hosts


def test_records_are_inserted_once_and_failures_stay_with_their_records(door: Door, tmp_path: Path) -> None:
    client, path = door.photos(), tmp_path / "picture.png"
    path.write_bytes(png(70))
    done = client.insert([{"_id": "by-file", "_file": str(path)}, {"_id": "bad", "_base64": "AAAA", "noresize": True}])
    assert (done["status"]["code"], [r["_id"] for r in done["answer_records"]]) == (211, ["by-file"])
    (skipped,) = done["skipped_records"]
    assert (skipped["_id"], skipped["_reason"]["status"]["code"]) == ("bad", 400)
    again = client.insert([{"_id": "by-file", "_base64": text(71)}])
    assert (again["status"]["code"], again["skipped_records"][0]["_reason"]["status"]["code"]) == (411, 211)
    both = client.insert([{"_id": "two", "_base64": text(72), "a-b": 1, "A.b": 2}])
    assert both["skipped_records"][0]["_reason"]["status"]["reason"] == "ARGUMENT_INVALID"
    (stored,), _ = door.native.get_records("shoes", ["by-file"])
    assert stored.attributes == {}
    assert client.remove([{"_id": "by-file"}, {"_id": "none"}])["status"]["code"] == 220


def test_many_threads_insert(door: Door) -> None:
    client = door.photos()
    records = [{"_id": f"many-{n}", "_base64": text(200 + n)} for n in range(12)]
    results = client.parallel_records_processing(records, client.insert, max_workers=3, batch_size=2)
    assert sum(r["answer_count"] for r in results) == 12
    gone = client.remove([{"_id": r["_id"]} for r in records])
    assert (gone["status"]["code"], gone["answer_count"]) == (220, 12)


def test_searches_find_by_picture_and_by_id(door: Door) -> None:
    client = door.photos()
    names = ["meta-category-x", "size.eu", "product_id", "tags"]
    found = client.search({"_base64": text(3)}, k=3, fields_to_return=names)
    assert found["answer_records"][0] == {
        "_id": "3", "meta-category-x": "m3", "size.eu": 43, "product_id": "1", "tags": ["all", "t3"],
    }  # fmt: skip
    assert found["answer_distances"] == sorted(found["answer_distances"])
    assert found["answer_count"] == 3
    by_id = client.search({"_id": "3"}, k=5, fields_to_return=["*"])
    assert len(by_id["answer_records"]) == 5
    assert "3" not in [r["_id"] for r in by_id["answer_records"]]
    assert by_id["answer_records"][0].keys() == {
        "_id", "product_id", "color", "price", "meta_category_x", "size_eu", "tags",
    }  # fmt: skip
    near = client.post("nearDuplicates", data={"query_record": {"_base64": text(4)}})
    assert [r["_id"] for r in near["answer_records"]] == ["4"]
    scored = client.post("visualKNN?scale=score", data={"query_record": {"_base64": text(4)}, "radius": 0.1})
    assert scored["answer_distances"][0] == pytest.approx(1 - scored["statistics"]["answer_scores"][0])


def test_a_url_is_fetched_under_the_rules_of_the_server(door: Door) -> None:
    answer = door.photos().search({"_url": f"http://{door.server.http}/picture.png"})
    assert (answer["status"]["code"], answer["status"]["reason"]) == (403, "URL_FORBIDDEN")


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"color": "red", "price": {"$gte": 8}}, {"8", "10"}),
        ({"size.eu": {"$in": [41, 42]}}, {"1", "2"}),
        ({"tags": "t5"}, {"5"}),
        ({"$or": [{"meta-category-x": "m1"}, {"product_id": 2}]}, {"1", "4", "5"}),
        ({"_id": {"$nin": ["0", "1"]}, "price": {"$lt": 4}}, {"2", "3"}),
        ({"price": {"$not": {"$gt": 0}}}, {"0"}),
    ],
)
def test_filters_choose_records(door: Door, wanted: dict[str, Any], ids: set[str]) -> None:
    found = door.photos().search({"_base64": text(1)}, filter=wanted, k=50)
    assert {r["_id"] for r in found["answer_records"]} == ids
    if "_id" not in wanted:
        listed = door.photos().get_all_ids(filterf=wanted)
        assert {r["_id"] for r in listed["answer_records"]} == ids
        assert door.native.count_records("shoes", compile_filter(wanted).text) == len(ids)


@pytest.fixture(scope="module")
def documents(door: Door) -> dict[str, dict[str, Any]]:
    """Records of every type in a collection `mongo`, by id."""
    by_id = {f"d{n}": document for n, document in enumerate(sample_documents(2, 20))}
    door.native.create_collection("mongo")
    client, picture = door.photos(collection="mongo"), text(1)
    records = [{"_id": i, "_base64": picture, **document} for i, document in by_id.items()]
    assert client.insert(records)["answer_count"] == len(by_id)
    return by_id


@settings(max_examples=15, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=FILTERS)
def test_random_filters_match_what_they_match_in_mongodb(
    door: Door, documents: dict[str, dict[str, Any]], wanted: dict[str, Any]
) -> None:
    found = door.photos(collection="mongo").get_all_ids(filterf=wanted)
    expected = {i for i, document in documents.items() if matches(wanted, document)}
    assert {r["_id"] for r in found["answer_records"]} == expected


def test_records_are_read_changed_and_removed(door: Door) -> None:
    client = door.photos()
    client.insert([{"_id": "w1", "_base64": text(81), "color": "red", "stock": 3}])
    got = client.get_records([{"_id": "w1"}, {"_id": "none"}], fields_to_return=["Stock"])
    assert (got["status"]["code"], got["answer_records"]) == (206, [{"_id": "w1", "Stock": 3}])
    assert got["skipped_records"][0]["_reason"]["status"]["code"] == 404
    assert client.get_records([{"_id": "none"}])["status"]["code"] == 404
    changed = client.update([{"_id": "w1", "color": None, "sale": True, "_url": "https://shop.example/new.jpg"}])
    assert changed["status"]["code"] == 205
    assert changed["answer_records"] == [{"_id": "w1", "sale": True, "stock": 3}]
    assert "pictures in an update are ignored" in changed["status"]["text"]
    removed = client.post("deleteByFilter", data={"filter": {"stock": 3}})
    assert (removed["status"]["code"], removed["answer_count"]) == (220, 1)
    assert client.post("deleteByFilter", data={"filter": {}})["status"]["code"] == 400
    assert client.remove([{"_id": "w1"}])["status"]["code"] == 404


def test_all_records_come_with_and_without_pages(door: Door) -> None:
    client, ids = door.photos(), [str(n) for n in range(_NUMBER)]
    counted = calls(door, "CountRecords")
    assert [r["_id"] for r in client.all_records_iter(batch_size=5)] == ids
    assert calls(door, "CountRecords") == counted  # a page that follows another is not looked for
    assert [r["_id"] for r in client.get_all_ids()["answer_records"]] == ids
    second = door.photos(door.server.key(_TENANT)).allRecords(size=5, page=2)  # of another key, so that it is walked to
    assert ([r["_id"] for r in second["answer_records"]], second["next"]) == (ids[5:10], 3)
    last = client.allRecords(size=5, page=3, fields_to_return=["price"])
    assert ([r["price"] for r in last["answer_records"]], "next" in last) == ([10, 11], False)
    assert client.allRecords(size=1, page=2**31 - 1)["answer_records"] == []


def test_random_records_match_the_filter(door: Door) -> None:
    found = door.photos().random(filter={"color": "red"}, count=4, fields_to_return=["color"])
    assert found["answer_count"] == 4
    assert {r["color"] for r in found["answer_records"]} == {"red"}
    assert len({r["_id"] for r in found["answer_records"]}) == 4
    everything = door.photos().random(filter={"_id": {"$nin": ["1", "3"]}}, count=1000)
    assert {r["_id"] for r in everything["answer_records"]} == {str(n) for n in range(_NUMBER)} - {"1", "3"}


def test_records_are_ranked_by_picture_and_by_id(door: Door) -> None:
    client = door.photos()
    pictures = [{"_base64": text(n), "_id": f"r{n}", "name": n} for n in (5, 2, 3)]
    ranked = client.search_and_rank({"_base64": text(2)}, pictures, fields_to_return=["name"])
    assert not ranked["skipped_records"]
    assert ranked["answer_records"][0] == {"_id": "r2", "name": 2}
    stored = client.search_and_rank({"_base64": text(2)}, [{"_id": i} for i in ("5", "2", "3", "none")])
    assert [r["_id"][-1] for r in stored["answer_records"]] == [r["_id"][-1] for r in ranked["answer_records"]]
    np.testing.assert_allclose(stored["answer_distances"], ranked["answer_distances"], atol=1e-3)
    assert [s["_id"] for s in stored["skipped_records"]] == ["none"]


def test_tasks_classify_and_have_labels(door: Door) -> None:
    client = RecognitionClient(door.key, door.root, resource_name=None)
    task, status = client.get_task("shoes:color")
    assert status["status"] == "OK"
    one, bad = task.classify([{"_base64": text(4), "sku": 9}, {"_base64": "AAAA", "noresize": True}])["records"]
    labels, _ = door.native.classify("shoes", png(4), "color")
    assert (one["best_label"]["name"], one["sku"], "_base64" in one) == (labels[0].value, 9, False)
    assert sum(label["prob"] for label in one["labels"]) <= 1.001
    assert bad["_status"]["code"] == 400
    assert client.classify_on_task([{"_base64": text(4)}], "shoes:color")["task_id"] == "shoes:color"
    assert sorted(label.name for label in task.get_labels()[0]) == ["blue", "red"]
    assert client.get_user_details()["id"] == door.key.split("_")[2]
    assert client.get_task("nothing:color")[0] is None
    tasks, failed = client.get_all_tasks()
    assert tasks is None
    assert "not served by Afterimage" in failed["detail"]


def test_descriptors_are_the_vectors_of_the_encoder(door: Door) -> None:
    client = CustomSimilarityClient(door.key, door.root, resource_name=None)
    (one,) = client.descriptor([{"_base64": text(4), "noresize": True}], "builtin")["records"]
    (expected,) = door.native.encode([png(4)])
    np.testing.assert_allclose(one["_descriptor"], np.frombuffer(expected.vector, "<f4"), atol=1e-5)


def test_other_classes_of_the_client_work(door: Door) -> None:
    fashion = SimilarityFashionClient(door.key, "shoes", door.root + "similarity/fashion-new/v2/", resource_name=None)
    inserted = fashion.insert([{"_id": "f", "_base64": text(90)}], extract_colors=True)
    assert "extract_colors is ignored" in inserted["status"]["text"]
    assert fashion.search({"_base64": text(90)}, k=1)["answer_records"] == [{"_id": "f"}]
    fashion.remove([{"_id": "f"}])
    colors = SimilarityColorsClient(door.key, "shoes", door.root + "similarity/colors/v2/", resource_name=None)
    assert colors.search({"_base64": text(3)}, k=1)["answer_records"] == [{"_id": "3"}]


def test_no_links_come_where_the_collection_keeps_no_urls(door: Door) -> None:
    found = door.photos().search({"_id": "3"}, fields_to_return=["_url", "price"])
    assert all(r.keys() == {"_id", "price"} for r in found["answer_records"])


@pytest.mark.long
def test_links_come_where_the_collection_keeps_urls_and_the_key_may_read_them(tmp_path: Path, shop: Shop) -> None:
    server = start_server(tmp_path, environment={"AFTERIMAGE_XIMILAR_DOOR": "true", **FETCHING})
    key, endpoint = server.key("acme"), f"http://{server.http}/ximilar/similarity/photos/v2/"
    searching = server.key("acme", [Scope.SEARCH])
    with server.client(key) as native:
        native.create_collection("shoes", picture_policy="REFERENCE")
    urls = {}
    for number in range(3):
        shop.pictures[f"/{number}.png"] = png(number)
        urls[str(number)] = f"{shop.address}/{number}.png"
    client = SimilarityPhotosClient(key, "shoes", endpoint, resource_name=None)
    records = [{"_id": i, "_url": url, "noresize": True} for i, url in urls.items()]
    assert client.insert(records)["status"]["code"] == 210
    found = client.search({"_id": "0"}, fields_to_return=["_url"])["answer_records"]
    assert {r["_id"]: r["_url"] for r in found} == {i: url for i, url in urls.items() if i != "0"}
    other = SimilarityPhotosClient(searching, "shoes", endpoint, resource_name=None)
    assert other.search({"_id": "0"}, fields_to_return=["_url"])["answer_records"] == [{"_id": r["_id"]} for r in found]
    assert server.stop() == 0
