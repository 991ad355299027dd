"""Small encoders with a text tower, for tests: the built-in model for pictures, and a bag of words for texts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from service.encoder.manifest import model_digest
from service.encoder.registry import BUILTIN_FOLDER

Table = NDArray[np.float32]
PADDING, UNKNOWN = "[PAD]", "[UNK]"  # numbers 0 and 1
SPECIAL = (PADDING, UNKNOWN)


def word_tokenizer(words: Sequence[str]) -> Tokenizer:
    """Numbers words from 2 on; others are UNKNOWN."""
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate((*SPECIAL, *words))}, UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def bpe_tokenizer(texts: Sequence[str], size: int = 300) -> Tokenizer:
    """Byte pairs learnt from texts, as CLIP's tokenizer has them."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def bag_of_words(descriptions: Sequence[str], vectors: Table, words: Sequence[str], penalty: float = 1.0) -> Table:
    """A vector for each word, so that their sum is near the vectors of what they describe, less the mean of these:
    ridge regression. float32, shape (2 + words, dimension); those of SPECIAL are 0."""
    counts = np.array([[d.split().count(w) for w in words] for d in descriptions], np.float64)
    target = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    solved = np.linalg.solve(counts.T @ counts + penalty * np.eye(len(words)), counts.T @ target)
    return np.concatenate([np.zeros((2, vectors.shape[1])), solved]).astype(np.float32)


def text_model(table: Table, *, mask: bool = False, hidden: bool = False, ids: int = TensorProto.INT64) -> bytes:
    """An ONNX graph from numbers of tokens to the sum of their rows, with an input for the attention mask or without.

    hidden: it gives the rows themselves, for `pooling`.
    """
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["rows"])]
    inputs = [helper.make_tensor_value_info("input_ids", ids, ["n", "t"])]
    rows = "rows"
    if mask:
        inputs.append(helper.make_tensor_value_info("attention_mask", ids, ["n", "t"]))
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["counts"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["counts", "last"], ["column"]),
            helper.make_node("Mul", ["rows", "column"], ["masked"]),
        ]
        rows = "masked"
    last = ["n", "t", table.shape[1]] if hidden else ["n", table.shape[1]]
    nodes.append(
        helper.make_node("Identity", [rows], ["out"])
        if hidden
        else helper.make_node("ReduceSum", [rows, "one"], ["out"], keepdims=0)
    )
    constants: dict[str, NDArray[Any]] = {
        "table": table,
        "last": np.array([2], np.int64),
        "one": np.array([1], np.int64),
    }
    graph = helper.make_graph(
        nodes, "texts", inputs, [helper.make_tensor_value_info("out", TensorProto.FLOAT, last)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def write_towers(folder: Path, encoder_id: str, texts: bytes, tokenizer: Tokenizer, /, **text: Any) -> Path:
    """Writes an encoder of the built-in model and a text tower into folder/encoder_id. Returns `folder`."""
    target = folder / encoder_id
    target.mkdir(parents=True)
    shutil.copyfile(BUILTIN_FOLDER / "encoder.onnx", target / "encoder.onnx")
    (target / "texts.onnx").write_bytes(texts)
    tokenizer.save(str(target / "tokenizer.json"))
    tower = {
        "model": "texts.onnx", "sha256": model_digest(target / "texts.onnx"), "output": "out",
        "tokenizer_sha256": model_digest(target / "tokenizer.json"), **text,
    }  # fmt: skip
    manifest = {**json.loads((BUILTIN_FOLDER / "encoder.json").read_text()), "id": encoder_id, "text": tower}
    (target / "encoder.json").write_text(json.dumps(manifest))
    return folder
