"""What people say of results: verdicts on pairs of records, feedback on hits. See `calls`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from afterimage.client import convert
from afterimage.client.calls import Call
from afterimage.client.checks import checked_text, checked_texts
from afterimage.client.errors import invalid
from afterimage.client.values import RecordFailure
from afterimage.v1 import search_service_pb2 as pb

_VERDICTS = ("none", "different", "same_product")
_PREFIX = "PAIR_VERDICT_"


@dataclass(frozen=True)
class PairJudgement:
    """What a person says of two records: "different" (not duplicates), "same_product", or "none" to withdraw it."""

    record_id: str
    other_record_id: str
    verdict: str


@dataclass(frozen=True)
class PairResult:
    """What became of a judgement. previous: the verdict before; empty if there is an `error`."""

    judgement: PairJudgement
    previous: str
    changed: bool
    error: RecordFailure | None = None

    @property
    def undo(self) -> PairJudgement:
        """The judgement that undoes this one. To undo several, pass those of the results in reverse order."""
        return replace(self.judgement, verdict=self.previous or self.judgement.verdict)


@dataclass(frozen=True)
class JudgedPair:
    """A pair with a verdict, "different" or "same_product". `record_id` was inserted first."""

    record_id: str
    other_record_id: str
    verdict: str
    judge_time: datetime


@dataclass(frozen=True)
class DuplicatesSummary:
    """What verdicts did to a search for duplicates.

    - left_out_pairs: pairs within the distance that were left out.
    - same_product_pairs: pairs that were joined.
    """

    groups: int
    left_out_pairs: int
    same_product_pairs: int


@dataclass(frozen=True)
class Feedback:
    """What was liked and disliked so far, over the rounds of a session. Pass it to `search`; the server keeps nothing.

        feedback = Feedback().like("42").dislike("7", "9")
        client.search("shoes", query, feedback=feedback)
        feedback = feedback.like("9")  # the next round: 9 is liked now

    liked_weight, disliked_weight: 0 to 10, how far the query moves; None: 1.5 and 0.75.
    """

    liked: tuple[str, ...] = ()
    disliked: tuple[str, ...] = ()
    liked_weight: float | None = None
    disliked_weight: float | None = None

    def like(self, *record_ids: str) -> Feedback:
        """Returns the feedback with these records liked, and no longer disliked."""
        return replace(self, liked=_with(self.liked, record_ids), disliked=_without(self.disliked, record_ids))

    def dislike(self, *record_ids: str) -> Feedback:
        """Returns the feedback with these records disliked, and no longer liked."""
        return replace(self, disliked=_with(self.disliked, record_ids), liked=_without(self.liked, record_ids))

    def forget(self, *record_ids: str) -> Feedback:
        """Returns the feedback without these records."""
        return replace(self, liked=_without(self.liked, record_ids), disliked=_without(self.disliked, record_ids))


@dataclass(frozen=True)
class FeedbackAdded:
    """kept: False if the collection keeps no feedback, or none of the records exists. missing_record_ids: ids that do
    not exist."""

    kept: bool
    missing_record_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeedbackTotals:
    """Sums over observations of one number per block. products: of each two blocks, row by row."""

    count: int
    totals: tuple[float, ...]
    products: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class FeedbackSums:
    """What a collection keeps of feedback: sums of the similarities of queries and records, per block of the vector.

    - blocks: names; one empty name for the whole vector if the encoder has no blocks.
    - liked, disliked: over pairs of a query and a liked, or disliked, record.
    - contrast: over calls with both: the mean of the liked minus the mean of the disliked records.
    """

    blocks: tuple[str, ...]
    liked: FeedbackTotals
    disliked: FeedbackTotals
    contrast: FeedbackTotals


def judge_pairs(collection: str, judgements: Sequence[PairJudgement]) -> Call[list[PairResult]]:
    """Stores what people say of up to 1,000 pairs of records, which `find_duplicates` follows. Returns one result each,
    in order."""
    given = list(judgements)
    request = pb.JudgePairsRequest(collection=collection, judgements=[_judgement(j) for j in given])
    return Call(
        "SearchService", "JudgePairs", request,
        lambda r: [_pair_result(judgement, m) for judgement, m in zip(given, r.results)],
    )  # fmt: skip


def judged_pairs_page(
    collection: str, *, verdict: str = "", record_id: str = "", page_token: str = "", page_size: int = 0
) -> Call[tuple[list[JudgedPair], str]]:
    """Returns a page of judged pairs and the token of the next page (empty: none).

    - verdict: "different" or "same_product"; empty: all.
    - record_id: only pairs of this record.
    """
    request = pb.ListJudgedPairsRequest(
        collection=collection, page_size=page_size, page_token=page_token, record_id=record_id,
        verdict=_verdict(verdict) if verdict else pb.PAIR_VERDICT_UNSPECIFIED,
    )  # fmt: skip
    return Call(
        "SearchService", "ListJudgedPairs", request, lambda r: ([_judged(m) for m in r.pairs], r.next_page_token)
    )


def to_summary(message: pb.DuplicatesSummary) -> DuplicatesSummary:
    """Returns what verdicts did to a search for duplicates."""
    return DuplicatesSummary(message.groups, message.left_out_pairs, message.same_product_pairs)


def _judgement(judgement: PairJudgement) -> pb.PairJudgement:
    if not isinstance(judgement, PairJudgement):
        raise invalid("judgements", f"a judgement is of type {type(judgement).__name__}; pass PairJudgement(...)")
    return pb.PairJudgement(
        record_id=checked_text("record_id", judgement.record_id), verdict=_verdict(judgement.verdict),
        other_record_id=checked_text("other_record_id", judgement.other_record_id),
    )  # fmt: skip


def _verdict(name: str) -> pb.PairVerdict.ValueType:
    if name not in _VERDICTS:
        raise invalid("verdict", f"verdict is {name!r}; pass {', '.join(_VERDICTS)}")
    return pb.PairVerdict.Value(_PREFIX + name.upper())


def _pair_result(judgement: PairJudgement, message: pb.PairResult) -> PairResult:
    if message.HasField("error"):
        return PairResult(judgement, "", False, convert.to_failure(message.error))
    return PairResult(judgement, _verdict_name(message.previous), message.changed)


def _judged(message: pb.JudgedPair) -> JudgedPair:
    when = message.judge_time.ToDatetime(timezone.utc)
    return JudgedPair(message.record_id, message.other_record_id, _verdict_name(message.verdict), when)


def _verdict_name(value: pb.PairVerdict.ValueType) -> str:
    return pb.PairVerdict.Name(value).removeprefix(_PREFIX).lower()


def add_feedback(
    collection: str, query: convert.Query, *, liked: Sequence[str] = (), disliked: Sequence[str] = ()
) -> Call[FeedbackAdded]:
    """Adds likes and dislikes of a query's hits to the sums of a collection that keeps feedback.

    query: such as Term(search_id=...) or Term(record_id=...). Each record counts once more with every call, so that a
    call is not repeated after an error.
    """
    request = pb.AddFeedbackRequest(
        collection=collection, query=convert.query_terms(query), liked_record_ids=checked_texts("liked", liked),
        disliked_record_ids=checked_texts("disliked", disliked),
    )  # fmt: skip
    return Call(
        "SearchService", "AddFeedback", request, lambda r: FeedbackAdded(r.kept, tuple(r.missing_record_ids)),
        retry_safe=False,
    )  # fmt: skip


def get_feedback(collection: str) -> Call[FeedbackSums]:
    """Returns the sums of feedback. Their counts are 0 if there is none."""
    request = pb.GetFeedbackRequest(collection=collection)
    return Call(
        "SearchService", "GetFeedback", request,
        lambda r: FeedbackSums(tuple(r.blocks), _totals(r.liked), _totals(r.disliked), _totals(r.contrast)),
    )  # fmt: skip


def clear_feedback(collection: str) -> Call[int]:
    """Deletes the sums of feedback. Returns the number of judged records that they were of."""
    request = pb.ClearFeedbackRequest(collection=collection)
    return Call("SearchService", "ClearFeedback", request, lambda r: int(r.count))


def feedback_message(feedback: Feedback) -> pb.Feedback:
    """Returns the message of feedback. Raises InvalidArgument."""
    if not isinstance(feedback, Feedback):
        raise invalid("feedback", f"feedback is of type {type(feedback).__name__}; pass Feedback().like(...)")
    return pb.Feedback(
        liked_record_ids=checked_texts("feedback.liked", feedback.liked),
        disliked_record_ids=checked_texts("feedback.disliked", feedback.disliked),
        liked_weight=feedback.liked_weight, disliked_weight=feedback.disliked_weight,
    )  # fmt: skip


def _totals(message: Any) -> FeedbackTotals:
    size, products = len(message.totals), tuple(message.products)
    rows = tuple(products[start : start + size] for start in range(0, len(products), size or 1))
    return FeedbackTotals(message.count, tuple(message.totals), rows)


def _with(ids: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*ids, *checked_texts("record_ids", tuple(more)))))


def _without(ids: tuple[str, ...], gone: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(i for i in ids if i not in gone)
