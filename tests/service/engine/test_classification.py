"""Labels of a query by a vote of its nearest records."""

import pytest

from index import AttributeValue, Hit, ScanStrategy, SearchAnswer, StoredRecord
from service.encoder.manifest import ScoreSpec
from service.engine.classification import is_undecided, labels_of

SCORE = ScoreSpec(midpoint=0.3, width=0.07)


def answer(*hits: tuple[float, AttributeValue | None]) -> SearchAnswer:
    """An answer with a hit at each distance, whose record has the value."""
    groups = []
    for n, (distance, value) in enumerate(hits):
        attributes = {} if value is None else {"kind": value}
        record = StoredRecord(n, str(n), "", attributes, None, "", 0, 0, 0)
        groups.append((Hit(record, distance),))
    return SearchAnswer(tuple(groups), len(hits), ScanStrategy.EXACT, 0, 0)


def test_each_hit_votes_with_its_score_and_the_likeliest_label_is_first() -> None:
    labels = labels_of(answer((0.1, "mug"), (0.3, "cup"), (0.5, "cup")), "kind", SCORE)
    total = sum(SCORE.score(d) for d in (0.1, 0.3, 0.5))
    assert [(v.value, v.votes) for v in labels] == [("mug", 1), ("cup", 2)]
    assert labels[0].confidence == pytest.approx(SCORE.score(0.1) / total)
    assert labels[1].confidence == pytest.approx((SCORE.score(0.3) + SCORE.score(0.5)) / total)


def test_a_list_votes_for_each_member_a_boolean_by_its_name_and_a_number_not_at_all() -> None:
    labels = labels_of(answer((0.1, ("red", "blue")), (0.1, True), (0.1, 5.0), (0.1, None)), "kind", SCORE)
    assert [(v.value, v.votes) for v in labels] == [("blue", 1), ("red", 1), ("true", 1)]
    assert all(v.confidence == pytest.approx(0.25) for v in labels)


@pytest.mark.parametrize(
    ("hits", "undecided"),
    [((), True), (((0.1, "mug"),), False), (((0.1, "mug"), (0.1, "cup")), True), (((0.1, 1.0),), True)],
)
def test_a_vote_is_undecided_unless_one_label_has_more_than_half(
    hits: tuple[tuple[float, AttributeValue]], undecided: bool
) -> None:
    assert is_undecided(labels_of(answer(*hits), "kind", SCORE)) is undecided
