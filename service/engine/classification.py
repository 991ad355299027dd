"""Classification of a query by the labels of its nearest records."""

from __future__ import annotations

from dataclasses import dataclass

from index import Hit, SearchAnswer
from service.tuning.calibration import Scoring


@dataclass(frozen=True)
class Label:
    """A value of the attribute. confidence: its share of all votes by weight, 0 to 1. votes: records that have it."""

    value: str
    confidence: float
    votes: int


def labels_of(answer: SearchAnswer, attribute: str, calibration: Scoring) -> list[Label]:
    """Returns the labels of the hits, the likeliest first. Each hit votes with its score as weight."""
    votes: dict[str, tuple[float, int]] = {}
    total = 0.0
    for hit in answer.hits:
        weight = calibration.score(hit.distance)
        total += weight
        for value in _values(hit, attribute):
            sum_, count = votes.get(value, (0.0, 0))
            votes[value] = (sum_ + weight, count + 1)
    labels = [Label(value, sum_ / total, count) for value, (sum_, count) in votes.items() if total > 0]
    return sorted(labels, key=lambda label: (-label.confidence, label.value))


def is_undecided(labels: list[Label]) -> bool:
    """Whether no label has more than half of the votes."""
    return not labels or labels[0].confidence <= 0.5


def _values(hit: Hit, attribute: str) -> list[str]:
    value = hit.record.attributes.get(attribute)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [value] if isinstance(value, str) else []
