"""Models and training sets with their objects, interrupted at each step.

A listed model has its file, a set has its pictures, and orphaned objects are listed for deletion.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.objects.sealed import SealedObjects
from service.objects.store import ObjectStore
from service.training.model import Example, OwnModel, State, Training, TrainingRequest
from service.training.store import MODELS_HOME, TrainingStore
from tests.support.data.collections import KEY
from tests.support.data.cuts import copy_of, cut
from tests.support.reliability import FaultResult, told

TENANT = "a" * 32


@dataclass(frozen=True)
class Place:
    """A tenant's training database and its objects."""

    store: TrainingStore
    objects: SealedObjects
    storage: ObjectStore

    def example(self, number: int, content: bytes) -> None:
        """Adds an example with a new picture, as the service does."""
        (uid,) = [s.uid for s in self.store.sets()]
        object_id = f"{random.getrandbits(128):032x}"
        before = self.store.example(uid, str(number))
        self.store.announce(uid, object_id)
        self.objects.put(TENANT, uid, object_id, content)
        assert self.store.put_example(uid, Example(str(number), "a", object_id, len(content), self.digest(content)))
        if before is not None:
            self.clear(uid, before.object_id)

    def digest(self, content: bytes) -> bytes:
        return self.store.digest(content)

    def delete_example(self, number: int) -> None:
        (uid,) = [s.uid for s in self.store.sets()]
        found = self.store.example(uid, str(number))
        assert found is not None
        self.store.delete_examples(uid, [str(number)])
        self.clear(uid, found.object_id)

    def publish(self, name: str) -> None:
        """Publishes a model, as a training does at its end."""
        training = self.store.create_training(TrainingRequest("set", "builtin", name))
        object_id = f"{random.getrandbits(128):032x}"
        self.store.announce(MODELS_HOME, object_id)
        self.objects.put(TENANT, MODELS_HOME, object_id, name.encode() * 1000)
        ended = Training(training.training_id, training.request, State.PUBLISHED, 1, 1, "", 1, 2)
        assert self.store.publish(OwnModel(name, "builtin", "set", "{}", {}, object_id, 1), ended)

    def delete_model(self, name: str) -> None:
        (found,) = [m for m in self.store.models() if m.encoder_id == name]
        self.store.delete_model(name)
        self.clear(MODELS_HOME, found.object_id)

    def delete_set(self) -> None:
        (uid,) = [s.uid for s in self.store.sets()]
        self.store.delete_set(uid)
        self.objects.clear(TENANT, uid)
        self.store.forget_loose([pair for pair in self.store.loose() if pair[0] == uid])

    def clear(self, home: str, object_id: str) -> None:
        self.objects.delete(TENANT, home, [object_id])
        self.store.forget_loose([(home, object_id)])


def opened(root: Path) -> Place:
    storage = ObjectStore(root / "objects")
    return Place(TrainingStore(root / "training.db", KEY), SealedObjects(storage, lambda _: KEY), storage)


CHANGES: dict[str, Callable[[Place], object]] = {
    "install a model": lambda p: p.publish("own-new"),
    "delete a model": lambda p: p.delete_model("own-old"),
    "add an example": lambda p: p.example(9, b"new"),
    "replace an example": lambda p: p.example(1, b"other"),
    "delete an example": lambda p: p.delete_example(1),
    "delete a set": lambda p: p.delete_set(),
}


def state(root: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """The state after a start. Every listed object can be read, and all others are listed for deletion."""
    place = opened(root)
    try:
        models = {m.encoder_id: place.objects.get(TENANT, MODELS_HOME, m.object_id) for m in place.store.models()}
        sets, listed = {}, {f"{TENANT}/{MODELS_HOME}/{m.object_id}" for m in place.store.models()}
        for made in place.store.sets():
            examples = place.store.examples(made.uid)
            sets[made.name] = {e.example_id: place.objects.get(TENANT, made.uid, e.object_id) for e in examples}
            listed |= {f"{TENANT}/{made.uid}/{e.object_id}" for e in examples}
        with monkeypatch.context() as patch:
            patch.setattr("service.training.store.UPLOAD_MS", -1000)
            loose = {f"{TENANT}/{home}/{object_id}" for home, object_id in place.store.loose()}
        assert set(place.storage.names(TENANT)) <= listed | loose
        assert not listed & loose
        return models, sets
    finally:
        place.store.close()


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    (tmp_path / "whole").mkdir()
    place = opened(tmp_path / "whole")
    place.store.create_set("set", "")
    for number in range(3):
        place.example(number, b"picture %d" % number)
    place.publish("own-old")
    place.store.close()
    return tmp_path / "whole"


def cuts_of(whole: Path, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    """Interrupts a change at each step. Returns their number, and those with a wrong state."""
    root = copy_of(whole, folder / "data")
    place = opened(root)
    cuts = cut(lambda: CHANGES[name](place), root, folder / "cuts")
    place.store.close()
    before, after = state(copy_of(whole, folder / "before"), monkeypatch), state(root, monkeypatch)
    assert before != after
    found = [state(path, monkeypatch) for path in cuts]
    wrong = [f"{name}: {path.name}" for path, one in zip(cuts, found, strict=True) if one not in (before, after)]
    which = [one == after for one in found]
    return len(cuts), wrong or ([] if which == sorted(which) else [f"{name}: what was done is undone"])


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_is_cut_off_is_as_before_or_after(
    whole: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, wrong = cuts_of(whole, tmp_path, name, monkeypatch)
    assert count >= 4
    assert wrong == []


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_the_same_many_times(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report_faults: Callable[[FaultResult], None]
) -> None:
    kills, wrong, rounds = Counter[str](), [], [(r, n) for r in range(5) for n in CHANGES]
    for number, name in told(rounds, len(rounds), "changes cut off"):
        (tmp_path / f"{number}-{name}").mkdir()
        count, found = cuts_of(whole, tmp_path / f"{number}-{name}", name, monkeypatch)
        kills[name] += count
        wrong += found
    outcome = f"the state before or after, whole: {', '.join(f'{name} {count}' for name, count in kills.items())}"
    report_faults(
        FaultResult("kill at a step of a change of models and training sets", kills.total(), len(wrong), outcome)
    )
    assert wrong == []
