"""Messages of judged pairs, and of the groups of duplicates that follow them."""

from __future__ import annotations

from afterimage.v1 import search_service_pb2 as pb
from index import DuplicateGroup, JudgedPair, Judgement, JudgementResult, Verdict, VerdictTally
from service.calls.error_details import to_record_error
from service.engine.faults import as_service_error
from service.errors import ServiceError
from service.handlers.conversion.values import invalid, timestamp
from service.runtime.call_facts import about

_VERDICTS = {
    Verdict.DIFFERENT: pb.PAIR_VERDICT_DIFFERENT, Verdict.SAME_PRODUCT: pb.PAIR_VERDICT_SAME_PRODUCT,
}  # fmt: skip
_KNOWN: dict[int, Verdict] = {value: verdict for verdict, value in _VERDICTS.items()}


def to_judgement(message: pb.PairJudgement) -> Judgement | ServiceError:
    """Returns a judgement, or the error of an invalid one."""
    if message.verdict != pb.PAIR_VERDICT_NONE and message.verdict not in _KNOWN:
        return invalid("verdict", "a verdict is DIFFERENT, SAME_PRODUCT, or NONE to withdraw one")
    return Judgement(message.record_id, message.other_record_id, _KNOWN.get(message.verdict))


def to_verdict(value: int) -> Verdict | None:
    """Returns the verdict that a list is limited to; None: all. Raises ServiceError (ARGUMENT_INVALID)."""
    if value != pb.PAIR_VERDICT_UNSPECIFIED and value not in _KNOWN:
        raise invalid("verdict", "only pairs with DIFFERENT or SAME_PRODUCT can be listed")
    return _KNOWN.get(value)


def from_result(given: pb.PairJudgement, result: JudgementResult | ServiceError) -> pb.PairResult:
    """Returns the result of a judgement."""
    error = result if isinstance(result, ServiceError) else result.error
    if error is not None:
        with about(record_id=given.record_id):
            return pb.PairResult(error=to_record_error(as_service_error(error)))
    assert isinstance(result, JudgementResult)
    return pb.PairResult(previous=_from_verdict(result.previous), changed=result.changed)


def from_pair(pair: JudgedPair) -> pb.JudgedPair:
    """Returns the message of a judged pair."""
    return pb.JudgedPair(
        record_id=pair.record_id, other_record_id=pair.other_record_id, verdict=_from_verdict(pair.verdict),
        judge_time=timestamp(pair.judged_ms),
    )  # fmt: skip


def add_verdicts(response: pb.FindDuplicatesResponse, group: DuplicateGroup) -> pb.FindDuplicatesResponse:
    """Adds what verdicts say of a group. Returns the response."""
    response.same_product_pairs = group.merged
    for one, other in group.contradictions:
        response.contradictions.add(record_id=one, other_record_id=other)
    return response


def from_tally(groups: int, tally: VerdictTally) -> pb.FindDuplicatesResponse:
    """Returns the last message of a search for duplicates."""
    summary = pb.DuplicatesSummary(groups=groups, left_out_pairs=tally.left_out, same_product_pairs=tally.merged)
    return pb.FindDuplicatesResponse(summary=summary)


def _from_verdict(verdict: Verdict | None) -> pb.PairVerdict.ValueType:
    return pb.PAIR_VERDICT_NONE if verdict is None else _VERDICTS[verdict]
