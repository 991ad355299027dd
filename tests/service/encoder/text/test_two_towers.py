"""Text towers against plain numpy, and manifests that do not fit their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from service.encoder.contract import Modality
from service.encoder.kinds import load_kind
from service.encoder.manifest import MANIFEST_NAME, read_manifest
from service.encoder.text.two_towers import TwoTowers
from service.errors import SettingError
from tests.support.data.two_towers import SPECIAL, bpe_tokenizer, text_model, word_tokenizer, write_towers

WORDS = ("a", "red", "blue", "mug", "shoe", "with", "stripes", "and", "dots")
RNG = np.random.default_rng(5)
TABLE = np.concatenate([np.zeros((2, 384)), RNG.normal(size=(len(WORDS), 384))]).astype(np.float32)
PADDED = np.concatenate([RNG.normal(size=(2, 384)), TABLE[2:]]).astype(np.float32)  # padding that would be noticed


def towers(folder: Path, texts: bytes, **text: Any) -> TwoTowers:
    write_towers(folder, "towers", texts, word_tokenizer(WORDS), **text)
    loaded = load_kind(folder / "towers", read_manifest(folder / "towers"), 1)
    assert isinstance(loaded, TwoTowers)
    return loaded


def expected(text: str, table: np.ndarray, most: int = 77) -> np.ndarray:
    """The oracle: the sum of the rows of the words, of length 1."""
    numbers = {w: n for n, w in enumerate((*SPECIAL, *WORDS))}
    rows = table[[numbers.get(word, 1) for word in text.lower().split()[:most]]]
    total = rows.sum(0, dtype=np.float64)
    return total / np.linalg.norm(total)


@pytest.mark.parametrize(
    ("table", "model", "text"),
    [
        (TABLE, {}, {}),
        (TABLE, {"ids": TensorProto.INT32}, {}),
        (TABLE, {}, {"padding": "max_tokens", "max_tokens": 12}),
        (PADDED, {"mask": True}, {"mask": "attention_mask", "padding": "max_tokens", "max_tokens": 12}),
        (PADDED, {"hidden": True}, {"pooling": "mean_tokens", "padding": "max_tokens", "max_tokens": 12}),
        (TABLE, {"hidden": True}, {"pooling": "mean_tokens"}),
        (TABLE, {}, {"max_tokens": 3}),
    ],
    ids=str,
)
def test_vectors_are_those_of_the_model_whatever_the_padding(
    tmp_path: Path, table: np.ndarray, model: dict[str, Any], text: dict[str, Any]
) -> None:
    encoder = towers(tmp_path, text_model(table, **model), **text)
    chance = np.random.default_rng(1)
    texts = [" ".join(chance.choice(WORDS, size=chance.integers(1, 9))) for _ in range(40)] + ["RED Mug"]
    found = encoder.encode(texts, Modality.TEXT)
    assert [e.input for e in found] == list(range(len(texts)))
    for one, embedding in zip(texts, found, strict=True):
        assert embedding.vector.dtype == np.float32
        assert np.allclose(embedding.vector, expected(one, table, text.get("max_tokens", 77)), atol=1e-5)


def test_pooling_by_the_first_token_takes_its_row(tmp_path: Path) -> None:
    encoder = towers(tmp_path, text_model(TABLE, hidden=True), pooling="cls")
    (found,) = encoder.encode(["blue red mug"], Modality.TEXT)
    assert np.allclose(found.vector, expected("blue", TABLE), atol=1e-5)


def test_a_text_without_a_known_word_has_no_direction(tmp_path: Path) -> None:
    (nothing,) = towers(tmp_path, text_model(TABLE)).encode(["quixotic"], Modality.TEXT)
    assert not nothing.vector.any()


def test_pictures_have_the_vectors_that_they_have_without_a_text_tower(tmp_path: Path) -> None:
    encoder = towers(tmp_path, text_model(TABLE))
    plain = json.loads((tmp_path / "towers" / MANIFEST_NAME).read_text())
    del plain["text"]
    (tmp_path / "towers" / MANIFEST_NAME).write_text(json.dumps(plain))
    manifest = read_manifest(tmp_path / "towers")
    alone = load_kind(tmp_path / "towers", manifest, 1)
    assert alone.modalities == frozenset({Modality.IMAGE})
    assert encoder.modalities == frozenset(Modality)
    assert manifest.fingerprint == encoder.manifest.fingerprint  # a text tower can be added to a collection's encoder
    one, other = (e.encode(encoder.trial(2), Modality.IMAGE) for e in (alone, encoder))
    assert all(np.array_equal(a.vector, b.vector) for a, b in zip(one, other, strict=True))


def test_words_of_queries_are_not_remembered_by_the_tokenizer(tmp_path: Path) -> None:
    learnt = bpe_tokenizer(["red mug with stripes", "blue shoe with dots"] * 5)
    write_towers(tmp_path, "bpe", text_model(np.ones((learnt.get_vocab_size(), 384), np.float32)), learnt)
    encoder = load_kind(tmp_path / "bpe", read_manifest(tmp_path / "bpe"), 1)
    for _ in range(2):  # the second time, a cache would answer
        assert encoder.encode(["redshoe stripedots"], Modality.TEXT)[0].vector.any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "0" * 64}, "texts.onnx: its SHA-256 is"),
        ({"tokenizer_sha256": "0" * 64}, "tokenizer.json: its SHA-256 is"),
        ({"sha256": "short"}, "64 hexadecimal digits"),
        ({"model": "../texts.onnx"}, "without a path"),
        ({"tokenizer": "gone.json"}, "must be in the folder of its manifest"),
        ({"extra": 1}, "extra"),
        ({"output": "nothing"}, "no output 'nothing'"),
        ({"input": "wrong"}, "no input 'wrong'"),
        ({"mask": "attention_mask"}, "no input 'attention_mask'"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
    ids=str,
)
def test_a_text_tower_that_does_not_fit_stops_with_its_remedy(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        towers(tmp_path, text_model(TABLE), **change)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (b"no model", "cannot load texts.onnx"),
        (text_model(TABLE[:, :7]), "vectors have 7 dimensions, those of pictures 384"),
        (text_model(TABLE[:3]), "cannot encode a text"),
        (text_model(TABLE, mask=True), r"also needs \['attention_mask'\]"),
        (text_model(TABLE * np.nan), "not finite"),
    ],
    ids=["damaged", "dimension", "vocabulary", "mask", "finite"],
)
def test_a_model_that_cannot_encode_texts_stops_the_load(tmp_path: Path, texts: bytes, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        towers(tmp_path, texts)


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    write_towers(tmp_path, "towers", text_model(TABLE), word_tokenizer(WORDS))
    (tmp_path / "towers" / "tokenizer.json").write_text('{"version": "1.0"}')
    manifest = json.loads((tmp_path / "towers" / MANIFEST_NAME).read_text())
    from service.encoder.manifest import model_digest

    manifest["text"]["tokenizer_sha256"] = model_digest(tmp_path / "towers" / "tokenizer.json")
    (tmp_path / "towers" / MANIFEST_NAME).write_text(json.dumps(manifest))
    with pytest.raises(SettingError, match=r"tokenizer\.json: not a tokenizer file"):
        load_kind(tmp_path / "towers", read_manifest(tmp_path / "towers"), 1)


def test_without_the_package_the_extra_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_towers(tmp_path, "towers", text_model(TABLE), word_tokenizer(WORDS))
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(SettingError, match=r"pip install 'afterimage-server\[text\]'"):
        load_kind(tmp_path / "towers", read_manifest(tmp_path / "towers"), 1)


def test_only_an_encoder_with_a_model_of_its_own_has_a_text_tower(tmp_path: Path) -> None:
    tower = {"model": "t.onnx", "sha256": "0" * 64, "tokenizer_sha256": "0" * 64, "output": "out"}
    manifest = {"id": "v", "version": "1", "license": "-", "kind": "vectors", "output": {"dimension": 3}, "text": tower}
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(manifest))
    with pytest.raises(SettingError, match="only an encoder of kind onnx has a text tower"):
        read_manifest(tmp_path)
