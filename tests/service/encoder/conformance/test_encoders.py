"""What every encoder keeps to: `service.encoder.contract`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

from service.encoder.batcher import Batcher, BatcherLimits
from service.encoder.contract import (
    Embedding,
    Encoder,
    Modality,
    UnsupportedModality,
    encode_each,
    picture_vectors,
)
from service.encoder.execution import Hardware, load_encoder
from service.encoder.fair_queue import Lane
from service.encoder.kinds import KINDS, load_kind
from service.encoder.manifest import Manifest, read_manifest
from service.encoder.registry import BUILTIN_FOLDER
from service.errors import Reason, ServiceError, SettingError
from tests.service.encoder.conformance.remote import RemoteEncoder
from tests.service.encoder.conformance.words import HalvesEncoder, WordEncoder
from tests.support.data.two_towers import text_model, word_tokenizer, write_towers


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return read_manifest(BUILTIN_FOLDER)


@pytest.fixture(scope="module")
def onnx(manifest: Manifest) -> Encoder:
    return load_kind(BUILTIN_FOLDER, manifest, 1)


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder, words = tmp_path_factory.mktemp("towers"), ["red", "mug"]
    table = np.random.default_rng(1).normal(size=(4, 384)).astype(np.float32)
    write_towers(folder, "towers", text_model(table), word_tokenizer(words))
    return load_kind(folder / "towers", read_manifest(folder / "towers"), 1)


@pytest.fixture(params=["onnx", "remote", "words", "halves", "towers"])
def encoder(request: pytest.FixtureRequest, manifest: Manifest, onnx: Encoder, towers: Encoder) -> Encoder:
    made: dict[str, Callable[[], Encoder]] = {
        "onnx": lambda: onnx,
        "remote": lambda: RemoteEncoder(onnx),
        "words": lambda: WordEncoder(manifest),
        "halves": lambda: HalvesEncoder(onnx),
        "towers": lambda: towers,
    }
    return made[request.param]()


def inputs_of(encoder: Encoder, count: int) -> list[Any]:
    """Inputs of which no two are alike."""
    trial = encoder.trial(count)
    if min(encoder.modalities) is Modality.TEXT:
        return [f"{text} number{n}" for n, text in enumerate(trial)]
    return [(np.roll(tensor, 37 * n) * ((n + 1) / count)).astype(tensor.dtype) for n, tensor in enumerate(trial)]


def encoded(encoder: Encoder, inputs: Sequence[Any]) -> list[Embedding]:
    return encoder.encode(inputs, min(encoder.modalities))


def test_embeddings_come_in_order_of_the_inputs_the_whole_first_each_of_length_1(encoder: Encoder) -> None:
    inputs = inputs_of(encoder, 5)
    found = encoded(encoder, inputs)
    assert sorted({e.input for e in found}) == [0, 1, 2, 3, 4]
    assert [e.input for e in found] == sorted(e.input for e in found)
    for each in encode_each(encoder, inputs, min(encoder.modalities)):
        assert each[0].region is None
    for embedding in found:
        assert embedding.vector.dtype == np.float32
        assert embedding.vector.shape == (encoder.manifest.output.dimension,)
        assert np.linalg.norm(embedding.vector) == pytest.approx(1, abs=1e-5)


def test_a_vector_does_not_depend_on_what_is_encoded_beside_it_or_before(encoder: Encoder) -> None:
    inputs = inputs_of(encoder, 4)
    together = np.stack([e.vector for e in encoded(encoder, inputs)])
    alone = np.stack([e.vector for i in inputs for e in encoded(encoder, [i])])
    backwards = np.stack([e.vector for i in reversed(inputs) for e in encoded(encoder, [i])])
    assert np.allclose(together, alone, atol=1e-5)
    parts = len(together) // len(inputs)
    assert np.allclose(backwards.reshape(4, parts, -1)[::-1].reshape(together.shape), alone, atol=1e-5)
    assert not np.allclose(together[0], together[-parts], atol=1e-3)  # different inputs are told apart


def test_many_threads_may_encode_at_once(encoder: Encoder) -> None:
    inputs = inputs_of(encoder, 3)
    expected = np.stack([e.vector for e in encoded(encoder, inputs)])
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: encoded(encoder, inputs), range(8)):
            assert np.allclose(np.stack([e.vector for e in found]), expected, atol=1e-5)


def test_no_inputs_have_no_embeddings(encoder: Encoder) -> None:
    assert encoded(encoder, []) == []


def test_a_modality_that_is_not_taken_is_refused_and_changes_nothing(encoder: Encoder) -> None:
    for other in set(Modality) - encoder.modalities:
        with pytest.raises(UnsupportedModality, match=encoder.manifest.id):
            encoder.encode(inputs_of(encoder, 1), other)
    assert encoded(encoder, inputs_of(encoder, 1))


def test_how_an_encoder_runs_best_can_be_measured(encoder: Encoder) -> None:
    loaded = load_encoder(lambda threads: encoder, Hardware(1, threads=1, batch=2))
    assert (loaded.encoder, loaded.execution.batch) == (encoder, 2)
    assert load_encoder(lambda threads: encoder, Hardware(1, threads=1)).execution.pictures_per_second > 0


async def test_behind_the_queue_each_caller_has_its_own_embeddings(encoder: Encoder) -> None:
    inputs = inputs_of(encoder, 6)
    expected = encode_each(encoder, inputs, min(encoder.modalities))
    with ThreadPoolExecutor(2) as pool:
        batcher = batcher_of(encoder, pool)
        found = await asyncio.gather(*(batcher.encode(i, Lane.SEARCH) for i in inputs))
        await batcher.close()
    for one, other in zip(found, expected, strict=True):
        assert [e.region for e in one] == [e.region for e in other]
        assert all(np.allclose(a.vector, b.vector, atol=1e-5) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("failure", [TimeoutError("too slow"), ConnectionResetError("gone"), ValueError("not finite")])
async def test_where_an_encoder_fails_those_who_wait_are_told_and_the_next_ones_are_served(
    onnx: Encoder, failure: Exception
) -> None:
    remote = RemoteEncoder(onnx)
    remote.failures = [failure]
    (one,) = inputs_of(remote, 1)
    with ThreadPoolExecutor(1) as pool:
        batcher = batcher_of(remote, pool)
        with pytest.raises(ServiceError) as caught:
            await batcher.encode(one, Lane.SEARCH)
        assert caught.value.reason is Reason.ENCODER_FAILED
        (embedding,) = await batcher.encode(one, Lane.SEARCH)
        await batcher.close()
    assert np.allclose(embedding.vector, encoded(onnx, [one])[0].vector, atol=1e-5)
    assert remote.requests == 2  # nobody tries again by himself: the caller decides


def test_an_encoder_that_breaks_its_contract_is_found_out(onnx: Encoder) -> None:
    class Broken(RemoteEncoder):
        """Answers as it is told."""

        numbers: Sequence[int] = ()

        def encode(self, inputs: Sequence[Any], modality: Modality) -> list[Embedding]:
            vector = np.ones(3, np.float32)
            return [Embedding(vector, n) for n in self.numbers]

    broken = Broken(onnx)
    for broken.numbers in ((0,), (1, 0), (0, 1, 2), (-1, 0, 1), ()):
        with pytest.raises(RuntimeError, match="returned"):
            encode_each(broken, ["a", "b"], Modality.IMAGE)
    broken.numbers = (0, 0, 1)
    assert [len(e) for e in encode_each(broken, ["a", "b"], Modality.IMAGE)] == [2, 1]
    assert picture_vectors(broken, ["a", "b"]).shape == (2, 3)


def test_a_new_kind_is_one_class_and_one_entry(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    words = manifest.model_copy(update={"kind": "words"})
    with pytest.raises(SettingError, match=r"unknown kind 'words'; kinds are onnx"):
        load_kind(BUILTIN_FOLDER, words, 1)
    monkeypatch.setattr("service.encoder.kinds.KINDS", {**KINDS, "words": lambda source, given, *_: WordEncoder(given)})
    encoder = load_kind(BUILTIN_FOLDER, words, 1)
    assert encoder.modalities == {Modality.TEXT}
    assert words.fingerprint == manifest.fingerprint  # of the same bytes, whatever reads them


def batcher_of(encoder: Encoder, pool: ThreadPoolExecutor) -> Batcher[list[Embedding]]:
    encode = partial(encode_each, encoder, modality=min(encoder.modalities))
    return Batcher(encode, pool, BatcherLimits(max_batch_size=4))
