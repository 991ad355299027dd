"""Hits of many answers are joined as those of each alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from afterimage.v1 import search_service_pb2 as pb
from index import ShownHit, StoredRecord
from service.encoder.manifest import ScoreSpec
from service.handlers.conversion.shown import joined_hits, joined_hits_of_all, result_field, shown_hit
from service.tuning.calibration import Calibration

CALIBRATION = Calibration.of_encoder(ScoreSpec())
LIMITS = list(CALIBRATION.limits.values())
near = st.floats(0, 2, width=32) | st.sampled_from(LIMITS)
hits = st.builds(
    lambda name, distance: ShownHit(shown_hit(StoredRecord(1, name, "", {}, None, "", 1, 0, 0)), distance),
    st.text(min_size=1, max_size=200),
    near,
)


@given(st.lists(st.lists(hits, max_size=4), max_size=4))
def test_hits_of_many_answers_are_those_of_each(answers: list[list[ShownHit]]) -> None:
    joined = joined_hits_of_all(answers, CALIBRATION)
    assert joined == [joined_hits(answer, CALIBRATION) for answer in answers]
    batch = pb.BatchSearchResponse.FromString(b"".join(map(result_field, joined)))
    assert [len(result.response.hits) for result in batch.results] == [len(answer) for answer in answers]
    assert [result.response.SerializeToString() for result in batch.results] == [
        pb.SearchResponse.FromString(one).SerializeToString() for one in joined
    ]
