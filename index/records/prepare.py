"""Checking what is to be written before a transaction begins, many records at once."""

from __future__ import annotations

from collections.abc import Sequence

from index.speed.gil_yield import batches_yielding
from index.types.changes import Normalised
from index.types.checks import all_normalised, check_record
from index.types.errors import InvalidInput
from index.types.record import Outcome, RecordWrite, Vector, WriteResult

_AT_ONCE = 32  # records that are checked between two pauses


def prepare(writes: Sequence[RecordWrite], dimension: int) -> list[Normalised | WriteResult]:
    """The writes with their vectors normalised, each that breaks a rule replaced by its failure."""
    prepared: list[Normalised | WriteResult] = []
    with_vector: list[tuple[int, Vector]] = []
    for block in batches_yielding(writes, _AT_ONCE):
        for write in block:
            try:
                check_record(write)
            except InvalidInput as error:
                prepared.append(_failed(write, error))
                continue
            if write.vector is not None:
                with_vector.append((len(prepared), write.vector))
            prepared.append(Normalised(write, None))
    for some in batches_yielding(with_vector, _AT_ONCE):
        for (place, _), vector in zip(some, all_normalised([v for _, v in some], dimension), strict=True):
            if isinstance(vector, InvalidInput):
                prepared[place] = _failed(writes[place], vector)
            else:
                prepared[place] = Normalised(writes[place], vector)
    return prepared


def _failed(write: RecordWrite, error: InvalidInput) -> WriteResult:
    return WriteResult(write.record_id, Outcome.FAILED, error=error)
