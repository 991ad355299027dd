"""The encoder of kind "onnx": a model for pictures, and where the manifest has one, a model for texts beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.encoder.contract import Embedding, Modality, UnsupportedModality, Vector
from service.encoder.manifest import Manifest, TextSpec
from service.encoder.session import EncoderSession, first_line, load_model
from service.encoder.text.tokenizer import TextTokenizer
from service.errors import SettingError

_TRIAL = "a red mug with stripes"
_DTYPES: dict[str, np.dtype[np.signedinteger[Any]]] = {
    "tensor(int64)": np.dtype(np.int64), "tensor(int32)": np.dtype(np.int32),
}  # fmt: skip


def load_towers(source: Path | bytes, manifest: Manifest, threads: int, provider: str) -> EncoderSession | TwoTowers:
    """An encoder of kind "onnx" in memory. Raises SettingError where a model does not load or does not fit."""
    pictures = EncoderSession(source, manifest, threads, provider)
    if manifest.text is None:
        return pictures
    if isinstance(source, bytes):
        raise SettingError(f"encoder {manifest.id}: a text tower needs the encoder's folder")
    return TwoTowers(pictures, TextTower(source, manifest, manifest.text, threads, provider))


class TwoTowers:
    """Pictures and texts in one space."""

    def __init__(self, pictures: EncoderSession, texts: TextTower) -> None:
        self.manifest, self._pictures, self._texts = pictures.manifest, pictures, texts

    @property
    def modalities(self) -> frozenset[Modality]:
        """Pictures and texts."""
        return frozenset({Modality.IMAGE, Modality.TEXT})

    def encode(self, inputs: Sequence[Any], modality: Modality) -> list[Embedding]:
        """As `Encoder.encode`: one embedding of each picture or text."""
        if modality is Modality.IMAGE:
            return self._pictures.encode(inputs, modality)
        if modality is not Modality.TEXT:
            raise UnsupportedModality(f"encoder {self.manifest.id} takes no {modality}")
        return [Embedding(vector, number) for number, vector in enumerate(self._texts.vectors(inputs))]

    def trial(self, count: int) -> list[NDArray[np.generic]]:
        """As `EncoderSession.trial`: pictures."""
        return self._pictures.trial(count)


class TextTower:
    """A model of texts in memory."""

    def __init__(self, folder: Path, manifest: Manifest, spec: TextSpec, threads: int, provider: str) -> None:
        """Raises SettingError where model or tokenizer do not load or do not fit the manifest."""
        self._spec, self._dimension, self._id = spec, manifest.output.dimension, manifest.id
        self._tokenizer = TextTokenizer(folder, spec)
        try:
            self._session = load_model(str(folder / spec.model), threads, provider)
        except Exception as error:  # ONNX Runtime raises a class of its own per failure
            raise self._wrong(f"ONNX Runtime cannot load {spec.model}: {first_line(error)}") from error
        self._dtype = self._check_names()
        self._check_dimension()

    def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """One vector of each text: float32, shape (dimension,), L2-normalised, or zero where the model makes nothing of
        the text. Raises ValueError if one is not finite."""
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> Vector:
        ids, mask = self._tokenizer.tokens(text)
        given = {self._spec.input: ids[None].astype(self._dtype)}
        if self._spec.mask:
            given[self._spec.mask] = mask[None].astype(self._dtype)
        output = np.asarray(self._session.run([self._spec.output], given)[0], np.float32)
        vector = self._pooled(output, mask)
        for numbers in (ids, *given.values()):
            numbers[:] = 0  # numpy keeps arrays as small as these, with what is in them
        norm = float(np.linalg.norm(vector))
        if not np.isfinite(norm):
            raise ValueError(f"encoder {self._id} returned a vector of a text that is not finite")
        found: Vector = vector / np.float32(max(norm, 1e-12))
        return found

    def _pooled(self, output: NDArray[np.float32], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        pooling = self._spec.pooling
        if pooling == "none" or output.ndim != 3:
            return output.reshape(-1)
        rows = output[0]
        counted = rows[:1] if pooling == "cls" else rows[mask > 0] if mask.any() else rows
        mean: NDArray[np.float32] = counted.mean(0)
        return mean

    def _check_names(self) -> np.dtype[np.signedinteger[Any]]:
        spec, inputs = self._spec, {i.name: i for i in self._session.get_inputs()}
        for name in filter(None, (spec.input, spec.mask)):
            if name not in inputs:
                raise self._wrong(f"no input {name!r}; {spec.model} has {sorted(inputs)}")
        if left := sorted(set(inputs) - {spec.input, spec.mask}):
            raise self._wrong(f"{spec.model} also needs {left}; set text.mask, or export it without them")
        outputs = [o.name for o in self._session.get_outputs()]
        if spec.output not in outputs:
            raise self._wrong(f"no output {spec.output!r}; {spec.model} has {outputs}")
        if inputs[spec.input].type not in _DTYPES:
            raise self._wrong(f"{spec.input} takes {inputs[spec.input].type}, not numbers of tokens")
        return _DTYPES[inputs[spec.input].type]

    def _check_dimension(self) -> None:
        try:
            vector = self._vector(_TRIAL)
        except Exception as error:
            raise self._wrong(f"cannot encode a text: {first_line(error)}") from error
        if len(vector) != self._dimension:
            raise self._wrong(f"vectors have {len(vector)} dimensions, those of pictures {self._dimension}")

    def _wrong(self, problem: str) -> SettingError:
        return SettingError(f"encoder {self._id}: text tower: {problem}")
