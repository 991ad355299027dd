"""Responses to searches: what the index answered, and the hits."""

from __future__ import annotations

from collections.abc import Sequence

from afterimage.v1 import search_service_pb2 as pb
from index import Attributes, Facet, Hit, NumberRange, ScanStrategy, SearchAnswer, ShownHit
from service.engine.emphasis import Emphasis
from service.handlers.conversion.shown import joined_hits
from service.handlers.conversion.tuning import CALIBRATIONS, LIKENESS
from service.handlers.conversion.values import from_attributes, from_vector, timestamp
from service.tuning.calibration import Calibration

_PATHS = {
    ScanStrategy.EMPTY: pb.SEARCH_PATH_EMPTY,
    ScanStrategy.EXACT: pb.SEARCH_PATH_EXACT,
    ScanStrategy.EXACT_FILTERED: pb.SEARCH_PATH_EXACT_FILTERED,
    ScanStrategy.SKETCHES: pb.SEARCH_PATH_SKETCHES,
    ScanStrategy.SKETCHES_FILTERED: pb.SEARCH_PATH_SKETCHES_FILTERED,
    ScanStrategy.GRAPH: pb.SEARCH_PATH_GRAPH,
    ScanStrategy.GRAPH_FILTERED: pb.SEARCH_PATH_GRAPH_FILTERED,
    ScanStrategy.CLUSTERS_FILTERED: pb.SEARCH_PATH_CLUSTERS_FILTERED,
}


def from_answer(answer: SearchAnswer, emphasis: Emphasis, calibration: Calibration) -> pb.SearchResponse:
    """Returns the response without its hits, which `add_hits` adds."""
    return pb.SearchResponse(
        allowed_count=answer.allowed,
        sequence=answer.sequence,
        index_time=timestamp(answer.index_time_ms),
        path=_PATHS[answer.path],
        facets=[_from_facet(f) for f in answer.facets],
        learned_order=answer.learned or emphasis.learned,
        weights=emphasis.weights,
        calibration=CALIBRATIONS[calibration.source],
        unknown_attributes=answer.hints.unknown_attributes,
        filter_hints=answer.hints.sentences,
        passed_over=[pb.PassedOver(**passed._asdict()) for passed in answer.passed_over],
        passed_over_total=answer.passed_over_total,
    )


def add_shown(response: pb.SearchResponse, hits: Sequence[ShownHit], calibration: Calibration) -> None:
    """Adds hits to the response."""
    response.MergeFromString(joined_hits(hits, calibration))


def add_hits(
    response: pb.SearchResponse, request: pb.SearchRequest, group: Sequence[Hit], calibration: Calibration
) -> None:
    """Adds the hits of a group to the response, in a group of their own if the request asked for groups."""
    target = response.hits
    if request.group_by:
        target = response.groups.add(product_id=group[0].record.product_id).hits
    for hit in group:
        _write_hit(hit, calibration, frozenset(request.fields), target.add())


def _from_facet(facet: Facet) -> pb.Facet:
    message = pb.Facet(attribute=facet.attribute, value_count=facet.values)
    for value, count in facet.counts:
        counted = message.counts.add(count=count)
        if isinstance(value, NumberRange):
            counted.range_value.CopyFrom(pb.NumberRange(low=value.low, high=value.high))
        elif isinstance(value, bool):
            counted.bool_value = value
        else:
            counted.string_value = value
    return message


def _write_hit(hit: Hit, calibration: Calibration, fields: frozenset[str], message: pb.Hit) -> None:
    record = hit.record
    message.record_id, message.product_id = record.record_id, record.product_id
    message.distance, message.score = hit.distance, calibration.score(hit.distance)
    message.likeness = LIKENESS[calibration.likeness(hit.distance)]
    if hit.boosts:
        message.boost = hit.boost
        message.boosts.extend(hit.boosts)
    from_attributes(_selected(record.attributes, fields), message.attributes)
    if record.vector is not None:
        message.vector = from_vector(record.vector)


def _selected(attributes: Attributes, fields: frozenset[str]) -> Attributes:
    if not fields:
        return attributes
    return {n: v for n, v in attributes.items() if n in fields}
