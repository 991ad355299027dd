"""The training database of a tenant; no object is without an owner."""

from pathlib import Path

import pytest

from index.types.errors import DataFault
from service.training.model import Example, OwnModel, State, Training, TrainingRequest
from service.training.store import MODELS_HOME, TrainingStore

KEY = bytes(range(32))


@pytest.fixture
def store(tmp_path: Path) -> TrainingStore:
    return TrainingStore(tmp_path / "training.db", KEY)


def example(number: int, label: str = "a") -> Example:
    return Example(str(number), label, f"object-{number}", 10, bytes([number]) * 32)


def put(store: TrainingStore, uid: str, given: Example) -> None:
    store.announce(uid, given.object_id)
    assert store.put_example(uid, given)


def model_of(training: Training) -> OwnModel:
    return OwnModel(training.request.model_name, "builtin", training.request.training_set, "{}", {}, "file", 1)


def test_an_object_is_loose_until_an_example_has_it_and_again_when_it_is_gone(store: TrainingStore) -> None:
    made = store.create_set("set", "")
    assert made is not None
    put(store, made.uid, example(1))
    put(store, made.uid, example(2))
    assert store.loose() == []
    put(store, made.uid, Example("1", "b", "object-9", 10, bytes(32)))
    assert store.loose() == [(made.uid, "object-1")]
    store.forget_loose(store.loose())
    assert store.delete_examples(made.uid, ["2", "none"]) == 1
    assert store.delete_set(made.uid) == 1
    assert sorted(store.loose()) == [(made.uid, "object-2"), (made.uid, "object-9")]
    assert (store.sets(), store.usage().bytes) == ([], 0)


def test_an_example_of_a_set_that_is_gone_is_not_stored(store: TrainingStore) -> None:
    made = store.create_set("set", "")
    assert made is not None
    store.delete_set(made.uid)
    assert not store.put_example(made.uid, example(1))


def test_nothing_is_published_of_a_set_that_is_gone_or_a_training_that_has_ended(store: TrainingStore) -> None:
    made = store.create_set("set", "")
    assert made is not None
    first, second = (store.create_training(TrainingRequest("set", "builtin", f"own-{n}")) for n in range(2))
    ended = Training(first.training_id, first.request, State.CANCELLED, 0, 0, "", 1, 2)
    store.note(ended)
    store.announce(MODELS_HOME, "file")
    assert not store.publish(model_of(first), first)
    store.delete_set(made.uid)
    assert not store.publish(model_of(second), second)
    assert store.models() == []


def test_a_training_that_has_ended_stays_as_it_ended(store: TrainingStore) -> None:
    store.create_set("set", "")
    training = store.create_training(TrainingRequest("set", "builtin", "own-m"))
    published = Training(training.training_id, training.request, State.PUBLISHED, 5, 5, "done", 1, 2, {"a": 1})
    store.announce(MODELS_HOME, "file")
    assert store.publish(model_of(training), published)
    store.note(Training(training.training_id, training.request, State.FAILED, 0, 0, "late", 1, 3))
    found = store.training(training.training_id)
    assert found is not None
    assert (found.state, found.message, found.card) == (State.PUBLISHED, "done", {"a": 1})
    assert (store.delete_model("own-m"), store.delete_model("own-m")) == (True, False)
    assert store.loose() == [(MODELS_HOME, "file")]


def test_another_key_does_not_open_it(tmp_path: Path, store: TrainingStore) -> None:
    store.close()
    with pytest.raises(DataFault):
        TrainingStore(tmp_path / "training.db", bytes(32))
