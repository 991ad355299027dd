"""Messages of feedback: what was liked and disliked, and the sums that are kept of it."""

from __future__ import annotations

from collections.abc import Sequence

from afterimage.v1 import search_service_pb2 as pb
from index import FeedbackSums, Moments
from service.engine.feedback import DISLIKED_WEIGHT, LIKED_WEIGHT, Judged
from service.handlers.conversion.values import check_most, invalid, number_within
from service.handlers.request_limits import MAX_FEEDBACK, MAX_FEEDBACK_WEIGHT


def to_judged(request: pb.AddFeedbackRequest) -> Judged:
    """Returns the records of a call. Raises ServiceError (ARGUMENT_INVALID)."""
    judged = _records(request, "")
    if not judged.record_ids:
        raise invalid("liked_record_ids", "name at least one record, liked or disliked")
    return judged


def to_refinement(request: pb.SearchRequest) -> Judged:
    """Returns the feedback in a search; nothing if it has none. Raises ServiceError (ARGUMENT_INVALID)."""
    if not request.HasField("feedback"):
        return Judged()
    given = request.feedback
    judged = _records(given, "feedback.")
    likes = given.liked_weight if given.HasField("liked_weight") else LIKED_WEIGHT
    dislikes = given.disliked_weight if given.HasField("disliked_weight") else DISLIKED_WEIGHT
    return Judged(
        judged.liked, judged.disliked,
        number_within("feedback.liked_weight", likes, 0.0, MAX_FEEDBACK_WEIGHT),
        number_within("feedback.disliked_weight", dislikes, 0.0, MAX_FEEDBACK_WEIGHT),
    )  # fmt: skip


def _records(given: pb.AddFeedbackRequest | pb.Feedback, prefix: str) -> Judged:
    check_most(f"{prefix}liked_record_ids", len(given.liked_record_ids), MAX_FEEDBACK)
    check_most(f"{prefix}disliked_record_ids", len(given.disliked_record_ids), MAX_FEEDBACK)
    judged = Judged(tuple(dict.fromkeys(given.liked_record_ids)), tuple(dict.fromkeys(given.disliked_record_ids)))
    if both := set(judged.liked) & set(judged.disliked):
        raise invalid(f"{prefix}disliked_record_ids", f"record {min(both)[:80]!r} is both liked and disliked")
    return judged


def from_sums(sums: FeedbackSums | None, blocks: Sequence[str]) -> pb.GetFeedbackResponse:
    """Returns the message of a collection's sums. blocks: names for a collection without sums."""
    held = sums or FeedbackSums.none(blocks)
    return pb.GetFeedbackResponse(
        blocks=held.blocks, liked=_from_moments(held.liked), disliked=_from_moments(held.disliked),
        contrast=_from_moments(held.contrast),
    )  # fmt: skip


def _from_moments(moments: Moments) -> pb.FeedbackSums:
    return pb.FeedbackSums(
        count=moments.count, totals=moments.totals.tolist(), products=moments.products.ravel().tolist()
    )
