"""What people say of results, from the client on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from afterimage.client import (
    AfterimageError,
    AsyncClient,
    Client,
    DuplicatesSummary,
    Feedback,
    InvalidArgument,
    NewRecord,
    PairJudgement,
    PermissionDenied,
    Term,
    unpack_vector,
)
from service.tenancy.apikeys import Scope
from tests.support.data.pictures import png
from tests.support.servers.server import Server


def filled(client: Client, name: str, count: int = 12, *, keep_feedback: bool = False) -> None:
    client.create_collection(name, keep_feedback=keep_feedback)
    client.insert(name, [NewRecord(str(n), image=png(n)) for n in range(count)])


def vectors(client: Client, name: str) -> dict[str, np.ndarray]:
    records = client.records(name, include_vectors=True)
    return {r.record_id: np.array(unpack_vector(r.vector)) for r in records}


def test_rounds_of_feedback_move_the_query_and_show_nothing_twice(client: Client) -> None:
    filled(client, "c")
    first = client.search("c", png(50), k=3, with_search_id=True)
    again = client.search("c", Term(search_id=first.search_id), k=3)
    assert [(h.record_id, h.distance) for h in again.hits] == [(h.record_id, h.distance) for h in first.hits]
    assert again.search_id == ""
    known, query = vectors(client, "c"), np.array(unpack_vector(client.encode([png(50)])[0].vector))
    feedback, seen = Feedback(), set[str]()
    for _ in range(3):
        found = client.search("c", Term(search_id=first.search_id), k=2, feedback=feedback)
        moved = query.copy()
        for ids, weight in ((feedback.liked, 1.5), (feedback.disliked, -0.75)):
            if ids:
                moved += weight * np.mean([known[i] for i in ids], axis=0)
        moved /= np.linalg.norm(moved)
        shown = [h.record_id for h in found.hits]
        assert [h.distance for h in found.hits] == pytest.approx([1 - known[i] @ moved for i in shown], abs=2e-3)
        left = sorted((1 - v @ moved, i) for i, v in known.items() if i not in seen)
        assert shown == [i for _, i in left[:2]]
        seen |= set(shown)
        feedback = feedback.like(shown[0]).dislike(shown[1])
    assert feedback.dislike(*feedback.liked).liked == ()
    assert feedback.forget(*seen) == Feedback()


def test_bad_feedback_is_refused_with_its_field(client: Client) -> None:
    filled(client, "c", 3)
    many = tuple(map(str, range(101)))
    cases: list[tuple[Feedback, str]] = [
        (Feedback(many), "feedback.liked_record_ids"), (Feedback((), many), "feedback.disliked_record_ids"),
        (Feedback(("1",), ("1",)), "feedback.disliked_record_ids"),
        (Feedback(liked_weight=11.0), "feedback.liked_weight"),
        (Feedback(disliked_weight=float("nan")), "feedback.disliked_weight"),
        (Feedback((), ("0",), disliked_weight=1.0), "feedback"),
    ]  # fmt: skip
    for feedback, field in cases:
        with pytest.raises(InvalidArgument) as caught:
            client.search("c", Term(record_id="0"), feedback=feedback)
        assert caught.value.field == field
    with pytest.raises(InvalidArgument, match="both"):
        client.add_feedback("c", Term(record_id="0"), liked=["1"], disliked=["1"])  # although nothing is kept
    with pytest.raises(InvalidArgument, match="at least one"):
        client.add_feedback("c", Term(record_id="0"))
    with pytest.raises(InvalidArgument, match="pass a list"):
        client.add_feedback("c", Term(record_id="0"), liked="10")
    with pytest.raises(InvalidArgument, match="no search id"):
        client.search("c", Term(search_id="nonsense"))
    client.create_collection("other", keep_feedback=True)
    with pytest.raises(AfterimageError) as missing:
        client.add_feedback("other", Term(record_id="0"), liked=["1"])
    assert missing.value.reason == "RECORD_NOT_FOUND"


def test_a_collection_keeps_sums_of_feedback_if_its_owner_wants_it(client: Client) -> None:
    filled(client, "c", 6)
    told = client.add_feedback("c", Term(record_id="0"), liked=["1"])
    assert (told.kept, client.get_feedback("c").liked.count) == (False, 0)
    assert client.update_collection("c", keep_feedback=True).keep_feedback
    done = client.add_feedback("c", Term(record_id="0"), liked=["1", "2", "gone"], disliked=["3"])
    assert (done.kept, done.missing_record_ids) == (True, ("gone",))
    assert not client.add_feedback("c", Term(record_id="0"), liked=["gone"]).kept
    sums, known = client.get_feedback("c"), vectors(client, "c")
    blocks = client.server_info().encoders[0].blocks
    assert sums.blocks == blocks
    assert (sums.liked.count, sums.disliked.count, sums.contrast.count) == (2, 1, 1)
    assert sum(sums.liked.totals) == pytest.approx(float(known["0"] @ (known["1"] + known["2"])), abs=1e-4)
    assert sum(sums.disliked.totals) == pytest.approx(float(known["0"] @ known["3"]), abs=1e-4)
    assert len(sums.contrast.products) == len(blocks)
    assert client.clear_feedback("c") == 3
    assert client.get_feedback("c").liked.count == 0
    client.add_feedback("c", Term(search_id=client.search("c", png(1), with_search_id=True).search_id), disliked=["2"])
    assert client.get_feedback("c").disliked.count == 1


def test_who_may_search_may_give_feedback_but_neither_read_nor_clear_it(
    server: Server, client: Client, tenant_name: str
) -> None:
    filled(client, "c", 3, keep_feedback=True)
    with server.client(server.key(tenant_name, [Scope.SEARCH])) as visitor:
        assert visitor.add_feedback("c", Term(record_id="0"), liked=["1"]).kept
        for refused in (visitor.get_feedback, visitor.clear_feedback):
            with pytest.raises(PermissionDenied):
                refused("c")
    assert client.get_feedback("c").liked.count == 1


def test_the_asynchronous_client_gives_feedback_too(server: Server, client: Client, tenant_name: str) -> None:
    filled(client, "c", 4, keep_feedback=True)

    async def use() -> None:
        async with AsyncClient(server.target, server.key(tenant_name)) as other:
            found = await other.search("c", Term(record_id="0"), feedback=Feedback().like("1"), k=9)
            assert {h.record_id for h in found.hits} == {"2", "3"}
            assert (await other.add_feedback("c", Term(record_id="0"), disliked=["1"])).kept
            assert (await other.get_feedback("c")).disliked.count == 1
            assert await other.clear_feedback("c") == 1

    asyncio.run(use())


def test_feedback_is_a_value() -> None:
    one = Feedback().like("a", "b", "a")
    assert one.liked == ("a", "b")
    assert one.dislike("a") == Feedback(("b",), ("a",))
    assert one.dislike("a").like("a") == Feedback(("b", "a"))
    assert replace(one, liked_weight=2.0).like("c").liked_weight == 2.0
    with pytest.raises(InvalidArgument):
        Feedback().like(7)  # type: ignore[arg-type]


def test_verdicts_on_pairs_are_followed_listed_and_undone(client: Client) -> None:
    client.create_collection("c")
    client.insert("c", [NewRecord(i, image=png(n)) for i, n in (("a", 1), ("b", 1), ("c", 1), ("x", 2), ("y", 3))])
    said = list[DuplicatesSummary]()

    def groups(ignore: bool = False) -> list[tuple[str, ...]]:
        found = client.find_duplicates("c", on_summary=said.append, ignore_verdicts=ignore)
        return [g.record_ids for g in found]

    assert groups() == [("a", "b", "c")]
    assert said.pop() == DuplicatesSummary(1, 0, 0)
    asked = [PairJudgement("b", "c", "different"), PairJudgement("x", "y", "same_product"),
             PairJudgement("a", "a", "different"), PairJudgement("a", "gone", "different")]  # fmt: skip
    results = client.judge_pairs("c", asked)
    assert [(r.previous, r.changed, r.error.reason if r.error else "") for r in results] == [
        ("none", True, ""), ("none", True, ""), ("", False, "ARGUMENT_INVALID"), ("", False, "RECORD_NOT_FOUND"),
    ]  # fmt: skip
    assert groups() == [("a", "b"), ("a", "c"), ("x", "y")]
    assert said.pop() == DuplicatesSummary(3, 1, 1)
    assert groups(ignore=True) == [("a", "b", "c")]
    assert [g.same_product_pairs for g in client.find_duplicates("c")] == [0, 0, 1]
    listed = list(client.judged_pairs("c"))
    assert [(p.record_id, p.other_record_id, p.verdict) for p in listed] == [
        ("b", "c", "different"), ("x", "y", "same_product"),
    ]  # fmt: skip
    first, token = client.judged_pairs_page("c", page_size=1)
    second, end = client.judged_pairs_page("c", page_size=1, page_token=token)
    assert ([*first, *second], end) == (listed, "")
    assert list(client.judged_pairs("c", record_id="y")) == listed[1:]
    assert list(client.judged_pairs("c", verdict="different")) == listed[:1]
    client.judge_pairs("c", [r.undo for r in reversed(results) if not r.error])
    assert list(client.judged_pairs("c")) == []
    assert groups() == [("a", "b", "c")]


def test_pairs_go_with_their_records_and_bad_calls_name_their_field(client: Client) -> None:
    filled(client, "c", 3)
    pairs = [PairJudgement("0", "1", "different"), PairJudgement("1", "2", "same_product")]
    client.judge_pairs("c", pairs)
    assert client.erase_records("c", record_ids=["0"]).records == 1
    assert [p.record_id for p in client.judged_pairs("c")] == ["1"]
    for call, field in (
        (lambda: client.judge_pairs("c", []), "judgements"),
        (lambda: client.judge_pairs("c", pairs * 501), "judgements"),
        (lambda: client.judge_pairs("c", [PairJudgement("1", "2", "alike")]), "verdict"),
        (lambda: client.judged_pairs_page("c", verdict="none"), "verdict"),
        (lambda: client.judged_pairs_page("c", page_size=1001), "page_size"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            call()
        assert caught.value.field == field


def test_judging_needs_the_scope_insert_and_listing_search(server: Server, client: Client, tenant_name: str) -> None:
    filled(client, "c", 2)
    pair = [PairJudgement("0", "1", "different")]
    with server.client(server.key(tenant_name, [Scope.SEARCH])) as visitor:
        with pytest.raises(PermissionDenied):
            visitor.judge_pairs("c", pair)
        client.judge_pairs("c", pair)
        assert len(list(visitor.judged_pairs("c"))) == 1
