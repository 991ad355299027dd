"""Checking what is to be written before a transaction begins, many records at once."""

from __future__ import annotations

from collections.abc import Sequence

from index.checks import all_normalised, check_record
from index.errors import InvalidInput
from index.model import Outcome, RecordWrite, WriteResult
from index.store import Normalised
from index.turns import pause

_TURN = 8  # records that are checked between two pauses


def prepare(writes: Sequence[RecordWrite], dimension: int) -> list[Normalised | WriteResult]:
    """The writes with their vectors normalised, each that breaks a rule replaced by its failure."""
    prepared: list[Normalised | WriteResult] = []
    with_vector = []
    for place, write in enumerate(writes):
        if place % _TURN == 0:
            pause()
        try:
            check_record(write)
        except InvalidInput as error:
            prepared.append(_failed(write, error))
            continue
        prepared.append(Normalised(write, None))
        if write.vector is not None:
            with_vector.append((place, write.vector))
    vectors = all_normalised([v for _, v in with_vector], dimension)
    pause()
    for (place, _), vector in zip(with_vector, vectors, strict=True):
        if isinstance(vector, InvalidInput):
            prepared[place] = _failed(writes[place], vector)
        else:
            prepared[place] = Normalised(writes[place], vector)
    return prepared


def _failed(write: RecordWrite, error: InvalidInput) -> WriteResult:
    return WriteResult(write.record_id, Outcome.FAILED, error=error)
