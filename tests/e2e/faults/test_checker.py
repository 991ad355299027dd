"""The checker of histories: it accepts what a correct service can answer, and refuses what it cannot."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.histories.checker import acknowledged_lost, explained
from tests.support.histories.operations import FOR_EVER, Kind, Operation, Told

R, W, N, D = Kind.READ, Kind.WRITE, Kind.INSERT_ONLY, Kind.DELETE


def op(
    kind: Kind,
    value: int | None,
    began: float,
    ended: float,
    told: Told | None = None,
    *,
    at: int = 0,
    slack: float = 0.0,
) -> Operation:
    return Operation(kind, "k", at, value, began, ended, told, slack)


created = op(W, 1, 0, 1, Told.CREATED)
updated = op(W, 2, 2, 3, Told.UPDATED)
unknown = op(W, 2, 2, FOR_EVER, Told.UNKNOWN)

GOOD = {
    "a read after a write": [created, op(R, 1, 2, 3)],
    "reads during a write, old then new": [created, updated, op(R, 1, 2, 2.3), op(R, 2, 2.4, 2.5)],
    "an unknown write that nobody sees": [created, unknown, op(R, 1, 4, 5)],
    "an unknown write that comes late": [created, unknown, op(R, 1, 4, 5), op(R, 2, 6, 7)],
    "an unknown deletion": [created, op(D, None, 2, FOR_EVER, Told.UNKNOWN), op(R, 1, 3, 4), op(R, None, 5, 6)],
    "a write over an unknown deletion": [created, op(D, None, 2, FOR_EVER, Told.UNKNOWN), op(W, 2, 3, 4, Told.CREATED)],
    "an old read within its slack": [created, updated, op(R, 1, 4, 5, at=1, slack=2)],
    "an unknown write that its own server follows last": [
        created,
        op(W, 2, 2, FOR_EVER, Told.UNKNOWN),
        op(R, 2, 3, 4, at=1),
        op(R, 1, 5, 6, slack=4),
        op(R, 2, 7, 8),
    ],
    "a refused insertion": [created, op(N, 5, 2, 3, Told.EXISTS), op(R, 1, 4, 5)],
    "a deletion, and an insertion after it": [created, op(D, None, 2, 3, Told.DELETED), op(N, 5, 4, 5, Told.CREATED)],
}
BAD = {
    "an acknowledged write is lost": [created, updated, op(R, 1, 4, 5)],
    "an acknowledged creation is lost": [created, op(R, None, 4, 5)],
    "a value that nobody wrote": [created, op(R, 7, 4, 5)],
    "new then old": [created, updated, op(R, 2, 2.3, 2.4), op(R, 1, 2.5, 2.6)],
    "a deleted record comes back": [created, op(D, None, 2, 3, Told.DELETED), op(R, 1, 4, 5)],
    "an unknown write comes and goes": [created, unknown, op(R, 2, 4, 5), op(R, 1, 6, 7)],
    "created twice": [created, op(W, 2, 2, 3, Told.CREATED)],
    "an insertion over what exists": [created, op(N, 5, 2, 3, Told.CREATED)],
    "an insertion refused for nothing": [op(N, 5, 2, 3, Told.EXISTS)],
    "a deletion of what does not exist": [op(D, None, 2, 3, Told.DELETED)],
    "older than its slack": [created, updated, op(R, 1, 6, 7, at=1, slack=2)],
    "not its own server's write": [created, updated, op(R, 1, 4, 5, slack=2)],
    "back in time on one server": [created, updated, op(R, 2, 4, 5, at=1, slack=9), op(R, 1, 6, 7, at=1, slack=9)],
    "a write before it was asked for": [op(R, 1, 0, 1), op(W, 1, 2, 3, Told.CREATED)],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_a_correct_service_can_answer_is_accepted(name: str) -> None:
    assert explained(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_what_a_correct_service_cannot_answer_is_refused(name: str) -> None:
    assert not explained(BAD[name])


def test_a_lost_write_is_told_from_a_stale_read() -> None:
    stale = [created, updated, op(R, 1, 4, 5)]
    assert not acknowledged_lost(stale, [op(R, 2, 9, 10)])
    assert acknowledged_lost(stale, [op(R, 1, 9, 10)])


def history(chance: random.Random, count: int) -> list[Operation]:
    """What several clients see of a correct register that stands on two servers, the second up to a second behind."""
    state: int | None = None
    found: list[Operation] = []
    past: list[tuple[float, int | None]] = [(-9.0, None)]
    followed = [-9.0, -9.0]
    for n in range(count):
        moment, at = float(n), chance.randrange(2)
        began, ended = moment - chance.uniform(0, 1.5), moment + chance.uniform(0, 1.5)
        kind = chance.choice([R, R, R, W, W, N, D])
        exists = state is not None
        if kind is R:
            shown = max(followed[at], moment - chance.uniform(0, 1) * at)
            value = [v for t, v in past if t <= shown][-1]
            followed[at] = shown
            found.append(op(R, value, began, ended, at=at, slack=1.0 * at))
            continue
        told = {W: Told.UPDATED if exists else Told.CREATED, N: Told.EXISTS if exists else Told.CREATED,
                D: Told.DELETED if exists else Told.MISSING}[kind]  # fmt: skip
        state = None if kind is D else state if told is Told.EXISTS else n
        past.append((moment, state))
        followed[at] = moment
        lost = chance.random() < 0.15
        made = op(kind, None if kind is D else n, began, ended, told, at=at)
        found.append(replace(made, told=Told.UNKNOWN, ended=FOR_EVER) if lost else made)
    return found


@settings(max_examples=40)
@given(st.randoms(use_true_random=False), st.integers(2, 25))
def test_histories_of_a_correct_register_are_accepted_and_a_changed_read_is_refused(
    chance: random.Random, count: int
) -> None:
    made = history(chance, count)
    assert explained(made)
    reads = [n for n, one in enumerate(made) if one.kind is R]
    if reads:
        chosen = chance.choice(reads)
        assert not explained([*made[:chosen], replace(made[chosen], value=-1), *made[chosen + 1 :]])
