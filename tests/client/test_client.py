import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from PIL import Image, ImageDraw

from afterimage.client import (
    AfterimageError,
    AsyncClient,
    Boost,
    Client,
    InvalidArgument,
    NewRecord,
    NotFound,
    NumberRange,
    Patch,
    Progress,
    Region,
    RetryPolicy,
    Term,
    Unavailable,
    Variant,
    unpack_vector,
)
from afterimage.client.batches import MAX_BYTES, MAX_RECORDS, Outbox, cut
from afterimage.client.values import AttributeValue
from afterimage.v1 import (
    record_service_pb2,
    record_service_pb2_grpc,
    server_info_service_pb2,
    server_info_service_pb2_grpc,
)
from tests.support.data.pictures import encode, noise, png
from tests.support.servers.server import Server

FAST = RetryPolicy(attempts=4, base_s=0.001, most_s=0.002)


def drawn(outline: str, colour: str) -> bytes:
    """A plain form on white."""
    picture = Image.new("RGB", (200, 200), "white")
    pen = ImageDraw.Draw(picture)
    {"disc": pen.ellipse, "bar": pen.rectangle}[outline](
        (30, 30, 170, 170) if outline == "disc" else (80, 20, 120, 180), colour
    )
    return encode(picture)


def test_emphasis_slides_a_search_between_colour_and_shape(client: Client) -> None:
    client.create_collection("forms")
    forms = {f"{c}-{o}": drawn(o, c) for c in ("red", "blue", "green") for o in ("disc", "bar")}
    client.insert("forms", [NewRecord(name, image=picture) for name, picture in forms.items()])
    assert {"colour", "shape"} <= set(client.server_info().encoders[0].blocks)

    def nearest(emphasis: dict[str, float] | None) -> list[str]:
        hits = client.search("forms", forms["red-disc"], k=6, emphasis=emphasis).hits
        assert hits[0].record_id == "red-disc"
        assert hits[0].distance == pytest.approx(0, abs=2e-3)
        assert [h.distance for h in hits] == sorted(h.distance for h in hits)
        return [h.record_id for h in hits[1:]]

    assert nearest({"shape": 0})[0] == "red-bar"
    assert {name.split("-")[1] for name in nearest({"colour": 0})[:2]} == {"disc"}
    assert nearest({"colour": 1, "shape": 1}) == nearest(None)
    everything = client.search("forms", forms["red-disc"], k=6, emphasis={"shape": 0}).hits
    cut = everything[2].distance
    within = client.search("forms", forms["red-disc"], k=6, emphasis={"shape": 0}, max_distance=cut).hits
    assert [h.record_id for h in within] == [h.record_id for h in everything[:3]]


def test_a_catalogue_through_the_whole_client(client: Client) -> None:
    made = client.create_collection("shoes", description="All shoes")
    assert (made.encoder_id, made.dimension, made.record_count) == ("builtin", 384, 0)
    attributes: dict[str, AttributeValue] = {"color": "red", "price": 39.5, "sale": True, "tags": ["new", "gift"]}
    record = NewRecord("1", image=png(1), product_id="p1", attributes=attributes, region=Region(0, 0, 1, 0.5))
    assert [r.outcome for r in client.insert("shoes", [record])] == ["created"]
    assert [r.outcome for r in client.insert("shoes", [record])] == ["unchanged"]
    stored = client.get_records("shoes", ["1", "2"], include_vectors=True)
    assert stored[1] == ["2"]
    assert stored[0][0].attributes == {**attributes, "tags": ("new", "gift")}
    assert stored[0][0].region == Region(0, 0, 1, 0.5)
    assert abs(sum(v * v for v in unpack_vector(stored[0][0].vector)) - 1) < 1e-5
    client.insert("shoes", [NewRecord(str(n), image=png(n), product_id=f"p{n // 2}") for n in range(2, 12)])
    found = client.search("shoes", png(5), k=3)
    assert (found.hits[0].record_id, found.path, found.allowed_count) == ("5", "exact", 11)
    assert found.hits[0].score == pytest.approx(1, abs=1e-3)
    grouped = client.search("shoes", Term(record_id="5"), k=3, group_by="product_id", group_size=2)
    assert len({g.product_id for g in grouped.groups}) == 3
    assert all(h.record_id != "5" for g in grouped.groups for h in g.hits)
    assert client.search("shoes", png(1), k=9, filter='tags:"gift" AND sale = true', fields=["price"]).hits[
        0
    ].attributes == {"price": 39.5}
    mixed = client.search("shoes", [Term(image=png(4)), Term(image=png(5), weight=-0.5)], k=1)
    assert mixed.hits[0].record_id == "4"
    assert (
        client.update_records("shoes", [Patch("1", set_attributes={"price": 1}, remove_attributes=["sale"])])[0].outcome
        == "updated"
    )
    assert client.count_records("shoes", "price = 1 AND NOT sale:*") == 1
    planned = client.delete_records("shoes", filter="price = 1")
    assert (planned.record_count, planned.deleted, planned.sample_record_ids) == (1, False, ("1",))
    assert client.delete_records("shoes", filter="price = 1", force=True).deleted
    assert sorted(r.record_id for r in client.records("shoes")) == sorted(str(n) for n in range(2, 12))
    assert client.update_collection("shoes", description="x").description == "x"
    assert not client.delete_collection("shoes").deleted
    assert client.delete_collection("shoes", force=True).record_count == 10
    assert list(client.collections()) == []


def test_one_time_calls_store_nothing(client: Client) -> None:
    client.create_collection("c")
    colours = ["red", "blue"]
    client.insert("c", [NewRecord(str(n), image=png(n), attributes={"color": colours[n % 2]}) for n in range(6)])
    encoded = client.encode([png(1), b"nonsense"])
    assert len(encoded[0].vector) == 384 * 4
    assert encoded[1].error is not None
    assert client.search("c", Term(vector=encoded[0].vector), k=1).hits[0].record_id == "1"
    ranked = client.rank(png(3), [png(9), png(3), b"nonsense"])
    assert (next(r.index for r in ranked), ranked[0].distance < 1e-3) == (1, True)
    assert ranked[-1].error is not None
    labels, undecided = client.classify("c", png(3), "color", k=1)
    assert (labels[0].value, labels[0].confidence, undecided) == ("blue", 1.0, False)
    assert client.classify("c", png(3), "size")[1] is True
    assert client.count_records("c") == 6


def test_duplicates_are_distinguished(client: Client) -> None:
    client.create_collection("c")
    client.insert("c", [NewRecord("a", image=png(1)), NewRecord("b", image=png(2)), NewRecord("copy", image=png(1))])
    groups = list(client.find_duplicates("c"))
    assert [(g.kind, g.record_ids, g.identical_ids) for g in groups] == [("identical", ("a", "copy"), (("a", "copy"),))]
    client.insert("c", [NewRecord("small", image=encode(noise(1).resize((90, 68))))])
    (group,) = client.find_duplicates("c")
    assert (group.kind, group.record_ids) == ("near", ("a", "copy", "small"))
    assert group.identical_ids == (("a", "copy"),)


def test_odd_filters_and_ids_that_a_deletion_did_not_find_are_reported(client: Client) -> None:
    client.create_collection("c")
    client.insert("c", [NewRecord(str(n), image=png(n), attributes={"color": "red", "tags": ["a"]}) for n in range(3)])
    found = client.search("c", png(1), filter='colour = "red" OR tags = "a"')
    assert (found.allowed_count, found.path, found.unknown_attributes) == (0, "empty", ("colour",))
    assert found.filter_hints == (
        "no record has `colour`; did you mean `color`?",
        '`tags` holds lists, which `=` does not look into; write `tags:"a"`',
    )
    assert client.search("c", png(1), filter='color = "red"').filter_hints == ()
    assert client.check_filter("c", "colour:*").unknown_attributes == ("colour",)
    done = client.delete_records("c", ["1", "x", "y", "x"])
    assert (done.record_count, done.deleted, done.missing_record_ids) == (1, False, ("x", "y"))
    done = client.delete_records("c", ["1", "x"], force=True)
    assert (done.record_count, done.missing_record_ids) == (1, ("x",))
    assert client.delete_records("c", filter="colour:*").unknown_attributes == ("colour",)


def test_facets_and_the_strategy_of_a_search_are_reported(client: Client) -> None:
    client.create_collection("things")
    client.insert(
        "things", [NewRecord(str(n), image=png(n), attributes={"color": "red", "new": n < 2}) for n in range(4)]
    )
    found = client.search("things", png(1), k=1, facets=["color", "new"], exact=True)
    counts = {f.attribute: dict(f.counts) for f in found.facets}
    assert counts == {"color": {"red": 4}, "new": {True: 2, False: 2}}
    assert (found.path, found.learned_order) == ("exact", False)


def test_a_sample_has_a_seed_that_draws_it_again(client: Client) -> None:
    client.create_collection("many")
    records = [NewRecord(str(n), vector=[1.0, float(n)] + [0.0] * 382, attributes={"n": n % 2}) for n in range(40)]
    client.insert("many", records)
    drawn = client.sample_records("many", 5, filter="n = 0", exclude_record_ids=["0", "2"])
    assert (len(drawn.records), drawn.allowed_count) == (5, 20)
    assert {int(r.record_id) % 2 for r in drawn.records} == {0}
    again = client.sample_records("many", 5, filter="n = 0", exclude_record_ids=["0", "2"], seed=drawn.seed)
    assert again.records == drawn.records
    assert client.sample_records("many", 5).seed != client.sample_records("many", 5).seed
    assert client.sample_records("many", 1000, include_vectors=True).records[0].vector
    assert client.sample_records("many", 1, filter="m = 0").unknown_attributes == ("m",)
    for count, seed in ((0, 1), (1001, 1), (1, -1), (1, 2**32)):
        with pytest.raises(InvalidArgument):
            client.sample_records("many", count, seed=seed)


def test_the_list_of_another_system_is_ordered_by_similarity(client: Client) -> None:
    client.create_collection("c")
    client.insert("c", [NewRecord(str(n), vector=[1.0, n / 20] + [0.0] * 382) for n in range(30)])
    found = client.search("c", Term(record_id="0"), k=10, only_record_ids=["20", "0", "9", "none", "14"])
    assert [h.record_id for h in found.hits] == ["9", "14", "20"]
    assert (found.allowed_count, found.path) == (4, "exact_filtered")
    with pytest.raises(InvalidArgument, match="only_record_ids"):
        client.search("c", Term(record_id="0"), only_record_ids=[str(n) for n in range(1001)])


def test_diverse_hits_come_with_what_they_passed_over(client: Client) -> None:
    client.create_collection("c")
    alike = [NewRecord(f"a{n}", vector=[1.0, 0.1 + n / 500] + [0.0] * 382) for n in range(10)]
    client.insert("c", [*alike, NewRecord("b", vector=[1.0, 0.0, 0.6] + [0.0] * 381)])
    query = Term(vector=[1.0] + [0.0] * 383)
    assert [h.record_id for h in client.search("c", query, k=3).hits] == ["a0", "a1", "a2"]
    found = client.search("c", query, k=3, diversity=0.5)
    assert [h.record_id for h in found.hits][:2] == ["a0", "b"]
    assert found.hits[1].distance > 0.1
    assert found.passed_over_total == len(found.passed_over) == 8
    assert {p.similar_to for p in found.passed_over} <= {"a0", found.hits[2].record_id}
    for diversity, offset in ((1.1, 0), (-0.1, 0), (0.5, 198)):
        with pytest.raises(InvalidArgument, match="diversity"):
            client.search("c", query, k=3, offset=offset, diversity=diversity)


def test_records_and_hits_are_sorted_by_an_attribute(client: Client) -> None:
    client.create_collection("c")
    prices = [5.0, 1.0, 4.0, 1.0, 3.0, 2.0]
    client.insert(
        "c",
        [NewRecord(str(n), vector=[1.0, n / 9] + [0.0] * 382, attributes={"price": p}) for n, p in enumerate(prices)],
    )
    client.insert("c", [NewRecord("none", vector=[1.0] + [0.0] * 383)])
    assert [r.record_id for r in client.records("c", order_by="price")] == ["1", "3", "5", "4", "2", "0", "none"]
    first, token = client.list_records_page("c", order_by="price desc", page_size=3)
    second, end = client.list_records_page("c", order_by="price desc", page_size=9, page_token=token)
    assert [r.record_id for r in (*first, *second)] == ["0", "2", "4", "5", "1", "3", "none"]
    assert end == ""
    refused: list[dict[str, Any]] = [
        {"page_token": token}, {"page_token": token, "order_by": "price"}, {"order_by": "price up"},
        {"order_by": "Price"}, {"order_by": "price", "page_token": "AAAA"},
    ]  # fmt: skip
    for wrong in refused:
        with pytest.raises(InvalidArgument, match=r"page token|order|Price"):
            client.list_records_page("c", **wrong)
    query = Term(vector=[1.0] + [0.0] * 383)
    hits = [client.search("c", query, k=4, offset=o, order_by="price", min_score=0.0).hits for o in (0, 4)]
    assert [h.record_id for page in hits for h in page] == ["1", "3", "5", "4", "2", "0", "none"]
    for diversity, offset in ((0.5, 0), (0.0, 999)):
        with pytest.raises(InvalidArgument, match="order_by"):
            client.search("c", query, k=4, order_by="price", diversity=diversity, offset=offset)


def test_a_hit_says_what_each_boost_adds_and_keeps_its_distance(client: Client) -> None:
    client.create_collection("c")
    client.insert("c", [
        NewRecord(str(n), vector=[1.0, n / 20] + [0.0] * 382, attributes={"sold": n * 100.0, "sale": n == 2})
        for n in range(12)
    ])  # fmt: skip
    query = Term(vector=[1.0] + [0.0] * 383)
    boosts = [
        Boost(0.5, attribute="sold", origin=800, scale=400, decay="linear", side="more"),
        Boost(-0.1, "sale = true"),
    ]
    plain = {h.record_id: h for h in client.search("c", query, k=12).hits}
    found = client.search("c", query, k=12, boosts=boosts).hits
    assert found[0].record_id == "8"
    by_id = {h.record_id: h for h in found}
    assert by_id["2"].boosts == pytest.approx((0.125, -0.1))
    assert by_id["11"].boosts == pytest.approx((0.5, 0.0))
    assert {i: (h.distance, h.score) for i, h in by_id.items()} == {i: (h.distance, h.score) for i, h in plain.items()}
    totals = [1 - h.distance + h.boost for h in found]
    assert totals == sorted(totals, reverse=True)
    capped = client.search("c", query, k=12, boosts=boosts, boost_cap=0.05).hits
    assert max(h.boost for h in capped) == pytest.approx(0.05)
    refused: list[dict[str, Any]] = [
        {"boosts": [Boost(0.0, "sale = true")]}, {"boosts": [Boost(1.5, "sale = true")]},
        {"boosts": [Boost(0.1, "sale =")]},
        {"boosts": [Boost(0.1)]}, {"boosts": [Boost(0.1, attribute="sold", scale=0.0)]}, {"boosts": [0.1]},
        {"boosts": [Boost(0.1, attribute="Sold")]}, {"boosts": [Boost(0.1, attribute="sold", decay="steep")]},
        {"boosts": [Boost(0.1, attribute="sold", origin=math.nan)]}, {"boosts": boosts * 5}, {"boost_cap": 0.0},
        {"boosts": [Boost(0.1, attribute="sold", offset=-1.0)]}, {"boost_cap": 2.5},
    ]  # fmt: skip
    for wrong in refused:
        with pytest.raises(InvalidArgument):
            client.search("c", query, k=4, **wrong)


def test_two_collections_and_two_settings_are_compared(client: Client) -> None:
    for name, step in (("a", 1), ("b", 2)):
        client.create_collection(name)
        rows = [
            NewRecord(str(n), vector=[1.0, n / 20] + [0.0] * 382, product_id=f"p{n // 4}") for n in range(0, 20, step)
        ]
        client.insert(name, rows)
    query = Term(vector=[1.0] + [0.0] * 383)
    found = client.compare(query, Variant("a", {"k": 4}), Variant("b", {"k": 4}), relevant_ids=["0", "1", "4"])
    assert [h.record_id for h in found.first.hits] == ["0", "1", "2", "3"]
    assert [h.record_id for h in found.second.hits] == ["0", "2", "4", "6"]
    assert (found.overlap, found.only_first, found.only_second) == (0.5, ("1", "3"), ("4", "6"))
    assert found.average_overlap == pytest.approx((1 + 1 / 2 + 2 / 3 + 1 / 2) / 4)
    assert (found.first_precision, found.second_precision) == (0.5, 0.5)
    same = client.compare(query, Variant("a"), Variant("a", {"exact": True, "group_by": "product_id"}), by_product=True)
    assert same.overlap == pytest.approx(3 / 5)
    assert same.first_precision is None
    with pytest.raises(NotFound):
        client.compare(query, Variant("a"), Variant("none"))
    for second in ("b", Variant("b", {"k": "5"}), Variant("b", {"kk": 5}), Variant("b", {"include_vectors": True})):
        with pytest.raises((InvalidArgument, TypeError)):
            client.compare(query, Variant("a"), second)  # type: ignore[arg-type]


def test_facets_have_ranges_and_count_hits(client: Client) -> None:
    client.create_collection("c")
    records = [
        NewRecord(str(n), vector=[1.0, n / 9] + [0.0] * 382, attributes={"price": n, "n": n < 2}) for n in range(6)
    ]
    client.insert("c", records)
    query = Term(vector=[1.0] + [0.0] * 383)
    (facet,) = client.search("c", query, facets=["price[0,2,4]"]).facets
    ends = [(None, 0.0), (0.0, 2.0), (2.0, 4.0), (4.0, None)]
    assert dict(facet.counts) == dict(zip((NumberRange(*e) for e in ends), (0, 2, 2, 2), strict=True))
    (over,) = client.search("c", query, k=3, facets=["n"], facet_over="hits").facets
    assert dict(over.counts) == {True: 2, False: 1}
    for facets, facet_over in ((["price[2,1]"], ""), ([], "all")):
        with pytest.raises(InvalidArgument):
            client.search("c", query, facets=facets, facet_over=facet_over)


def test_a_collection_says_whether_it_may_learn(client: Client) -> None:
    assert client.create_collection("things").learning == "auto"
    changed = client.update_collection("things", learning="off")
    assert (changed.learning, changed.learned, changed.description) == ("off", False, "")
    assert client.update_collection("things", description="x").learning == "off"


def test_pages_cover_everything_once(client: Client) -> None:
    client.create_collection("c")
    vectors = [[1.0, float(n)] + [0.0] * 382 for n in range(30)]
    client.insert("c", [NewRecord(str(n), vector=v) for n, v in enumerate(vectors)])
    seen, token = [], ""
    while True:
        page, token = client.list_records_page("c", page_size=7, page_token=token)
        seen += [r.record_id for r in page]
        if not token:
            break
    assert seen == [str(n) for n in range(30)]


def test_an_import_reports_progress_and_failures_in_order(client: Client) -> None:
    client.create_collection("c")
    told: list[Progress] = []
    records = (NewRecord(str(n), image=png(n) if n != 40 else b"broken") for n in range(100))
    results = list(client.import_records("c", records, on_progress=told.append))
    assert [r.record_id for r in results] == [str(n) for n in range(100)]
    assert [r.record_id for r in results if r.error] == ["40"]
    assert told[-1] == Progress(100, 1)
    assert len(told) == 4


def test_a_picture_that_is_too_large_fails_alone_and_not_the_import(client: Client) -> None:
    client.create_collection("c")
    huge = b"\xff\xd8\xff" + bytes(40 * 2**20)
    results = list(client.import_records("c", [NewRecord("1", image=png(1)), NewRecord("2", image=huge)]))
    assert [r.outcome for r in results] == ["created", "failed"]
    assert results[1].error is not None
    assert results[1].error.reason == "IMAGE_TOO_LARGE"


async def test_the_async_client_has_the_same_methods(server: Server, tenant_name: str) -> None:
    async with AsyncClient(server.target, server.key(tenant_name)) as client:
        await client.create_collection("c")
        results = [r async for r in client.import_records("c", (NewRecord(str(n), image=png(n)) for n in range(40)))]
        assert len(results) == 40
        assert (await client.search("c", png(7), k=1)).hits[0].record_id == "7"
        assert [c.name async for c in client.collections()] == ["c"]
        assert len([r async for r in client.records("c")]) == 40
        assert [g async for g in client.find_duplicates("c")] == []
        with pytest.raises(InvalidArgument):
            await client.search("c", png(1), k=0)
    public = {n for n in dir(Client) if not n.startswith("_")}
    assert public == {n for n in dir(AsyncClient) if not n.startswith("_")}


def test_batches_stay_within_both_limits() -> None:
    records = [
        NewRecord(str(n), image=bytes(size)) for n, size in enumerate([10] * 100 + [3 * 2**20] * 3 + [6 * 2**20])
    ]
    batches = list(cut(records, 2**30))
    assert [r.record_id for b in batches for r in b] == [r.record_id for r in records]
    for batch in batches:
        size = sum(r.ByteSize() for r in batch)
        assert len(batch) <= MAX_RECORDS
        assert size <= MAX_BYTES or len(batch) == 1


def test_a_new_stream_begins_with_what_was_not_answered_and_an_old_one_gets_no_more() -> None:
    records = (NewRecord(str(n), vector=b"1234") for n in range(MAX_RECORDS * 4))
    outbox = Outbox(record_service_pb2.ImportRecordsRequest(collection="c"), records, max_image_bytes=9)
    first = outbox.requests()
    sent = [next(first) for _ in range(3)]
    outbox.answered()
    second = outbox.requests()
    assert [next(second), next(second)] == sent[1:]
    assert list(first) == []
    assert len(list(second)) == 1


class Flaky(record_service_pb2_grpc.RecordServiceServicer, server_info_service_pb2_grpc.ServerInfoServiceServicer):
    """A real gRPC server that breaks at chosen points."""

    def __init__(self, failures: int, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self.left, self.code, self.calls = failures, code, 0
        self.seen: list[str] = []

    def CountRecords(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.calls += 1
        if self.left:
            self.left -= 1
            context.abort(self.code, "not now")
        return record_service_pb2.CountRecordsResponse(record_count=7)

    InsertRecords = UpdateRecords = DeleteRecords = GetRecords = ListRecords = SampleRecords = CountRecords

    def GetServerInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        limits = server_info_service_pb2.Limits(max_image_bytes=100)
        return server_info_service_pb2.GetServerInfoResponse(limits=limits)

    def ImportRecords(self, requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self.calls += 1
        for number, request in enumerate(requests):
            if self.left and number == 1:
                self.left -= 1
                context.abort(self.code, "broken")
            ids = [r.record_id for r in request.records]
            self.seen += ids
            yield record_service_pb2.ImportRecordsResponse(
                results=[
                    record_service_pb2.RecordResult(record_id=i, outcome=record_service_pb2.WRITE_OUTCOME_CREATED)
                    for i in ids
                ]
            )


Serve = Callable[[Flaky], str]


@pytest.fixture
def serve_flaky() -> Iterator[Serve]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    port = server.add_insecure_port("127.0.0.1:0")

    def serve(servicer: Flaky) -> str:
        record_service_pb2_grpc.add_RecordServiceServicer_to_server(servicer, server)
        server_info_service_pb2_grpc.add_ServerInfoServiceServicer_to_server(servicer, server)
        server.start()
        return f"127.0.0.1:{port}"

    yield serve
    server.stop(None)


def test_a_safe_call_is_tried_again_until_it_succeeds(serve_flaky: Serve) -> None:
    flaky = Flaky(3)
    with Client(serve_flaky(flaky), retry=FAST) as client:
        assert client.count_records("c") == 7
    assert flaky.calls == 4


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED]
)
def test_what_a_retry_cannot_mend_is_not_tried_again(serve_flaky: Serve, code: grpc.StatusCode) -> None:
    flaky = Flaky(1, code)
    with Client(serve_flaky(flaky), retry=FAST) as client, pytest.raises(AfterimageError):
        client.count_records("c")
    assert flaky.calls == 1


def test_what_is_not_idempotent_is_not_tried_again(serve_flaky: Serve) -> None:
    flaky = Flaky(1)
    with Client(serve_flaky(flaky), retry=FAST) as client, pytest.raises(Unavailable):
        client.insert("c", [NewRecord("1", vector=b"1234")], insert_only=True)
    assert flaky.calls == 1


def test_a_broken_import_goes_on_and_every_record_gets_one_result(serve_flaky: Serve) -> None:
    flaky = Flaky(2)
    with Client(serve_flaky(flaky), retry=FAST) as client:
        results = list(client.import_records("c", (NewRecord(str(n), vector=b"1234") for n in range(MAX_RECORDS * 5))))
    assert [r.record_id for r in results] == [str(n) for n in range(MAX_RECORDS * 5)]
    assert flaky.calls == 3


def test_a_deadline_ends_the_retries() -> None:
    with Client("127.0.0.1:1", retry=RetryPolicy(attempts=1000, base_s=0.05), timeout_s=0.4) as client:
        done = threading.Event()
        with pytest.raises(AfterimageError):
            client.server_info()
        done.set()


def test_the_client_needs_grpcio_and_protobuf_alone() -> None:
    script = (
        "import sys; import afterimage.client; "
        "heavy = {'numpy', 'faiss', 'cv2', 'onnxruntime', 'redis', 'service', 'index', 'google.rpc', 'pydantic'}; "
        "heavy &= set(sys.modules); "
        "assert not heavy, heavy"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stderr == ""
