"""What people say of results: feedback on hits. See `calls`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from afterimage.client import convert
from afterimage.client.calls import Call
from afterimage.client.checks import checked_texts
from afterimage.client.errors import invalid
from afterimage.v1 import search_service_pb2 as pb


@dataclass(frozen=True)
class Feedback:
    """What was liked and disliked so far, over the rounds of a session. Pass it to `search`; the server keeps nothing.

        feedback = Feedback().like("42").dislike("7", "9")
        client.search("shoes", query, feedback=feedback)
        feedback = feedback.like("9")  # the next round: 9 is liked now

    liked_weight, disliked_weight: 0 to 10, how far the query moves; None: 0.75 and 0.25.
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
