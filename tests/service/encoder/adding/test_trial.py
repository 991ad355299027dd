from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from service.encoder.adding.trial import State, Trial, try_encoder
from service.encoder.contract import Embedding, Encoder, Modality
from service.encoder.kinds import load_kind
from service.encoder.manifest import Manifest, read_manifest
from service.encoder.registry import BUILTIN_FOLDER


@pytest.fixture(scope="module")
def builtin() -> Encoder:
    return load_kind(BUILTIN_FOLDER, read_manifest(BUILTIN_FOLDER), 1)


class Spoilt:
    """The built-in encoder with a fault in what it returns."""

    def __init__(self, there: Encoder, fault: str) -> None:
        self._there, self._fault = there, fault
        self._rng = np.random.default_rng(1)

    @property
    def manifest(self) -> Manifest:
        return self._there.manifest

    @property
    def modalities(self) -> frozenset[Modality]:
        return self._there.modalities

    def trial(self, count: int) -> list[Any]:
        return self._there.trial(count)

    def encode(self, inputs: Sequence[Any], modality: Modality) -> list[Embedding]:
        found = np.stack([e.vector for e in self._there.encode(inputs, modality)])
        if self._fault == "raises":
            raise ValueError("returned a vector that is not finite")
        if self._fault == "dropout":
            found = found * (self._rng.random(found.shape) > 0.1)
        if self._fault == "batch":
            found = found - 0.5 * found.mean(0)
        if self._fault == "constant":
            found = found * 0 + 1
        if self._fault == "empty":
            return [Embedding(v, n) for n, v in enumerate(np.zeros_like(found, np.float32))]
        return [Embedding(v / np.linalg.norm(v), n) for n, v in enumerate(found.astype(np.float32))]


def states(trial: Trial) -> dict[str, State]:
    return {check.name: check.state for check in trial.checks}


def test_the_built_in_encoder_passes_every_check_and_gets_a_curve_for_scores(builtin: Encoder) -> None:
    trial = try_encoder(builtin, iter)
    assert set(states(trial).values()) == {State.OK}
    assert list(states(trial)) == ["runs", "repeats", "batches", "differs", "finds"]
    assert trial.score is not None
    assert 0 < trial.score.near_duplicate_distance < trial.score.midpoint < 1


@pytest.mark.parametrize(
    ("fault", "check", "state", "said"),
    [
        ("raises", "runs", State.FAILED, "not finite"),
        ("empty", "runs", State.FAILED, "all zero"),
        ("dropout", "repeats", State.FAILED, "evaluation mode"),
        ("batch", "batches", State.FAILED, "encoded beside it"),
        ("constant", "differs", State.FAILED, "all pictures look alike"),
    ],
)
def test_each_fault_is_found_by_its_check(builtin: Encoder, fault: str, check: str, state: State, said: str) -> None:
    trial = try_encoder(Spoilt(builtin, fault), iter)
    assert states(trial)[check] is state
    assert said in next(c.detail for c in trial.checks if c.name == check)
    assert trial.passed is (state is State.WARNING)
    assert (trial.score is None) is (state is State.FAILED)
