"""An encoder's manifest, `encoder.json`: what the model takes, what it gives, and where it comes from.

docs/formats/encoder-manifest.md describes every field. The fingerprint covers everything that changes a vector.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from service.errors import SettingError

MANIFEST_NAME = "encoder.json"
PREPROCESSING_VERSION = 1
OWN_PREFIX = "own-"  # of the ids of models of tenants' own
VECTORS = "vectors"  # the kind of an encoder without a model: vectors are made elsewhere
Triple = tuple[float, float, float]
_ADDED_LATER = {
    ("trim", "none"),
    ("decode", "full"),
}  # fields that older fingerprints do not know, with the value that changes nothing


def _plain_file(value: str) -> str:
    if value and (Path(value).name != value or value in (".", "..")):
        raise ValueError("must be a file name without a path, in the folder of the manifest")
    return value


def _hexadecimal(value: str) -> str:
    if value and not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError("must be 64 hexadecimal digits")
    return value


FileName = Annotated[str, AfterValidator(_plain_file)]
Digest = Annotated[str, AfterValidator(_hexadecimal)]


class StrictSpec(BaseModel):
    """A part of a manifest: unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Spec = TypeVar("Spec", bound=StrictSpec)


class InputSpec(StrictSpec):
    """What the model takes. Pixel values are first multiplied by `scale`, then (x - mean) / std by channel."""

    name: str
    size: tuple[Annotated[int, Field(ge=8, le=2048)], Annotated[int, Field(ge=8, le=2048)]]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    color: Literal["RGB", "BGR"] = "RGB"
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    decode: Literal["full", "scaled"] = "full"
    trim: Literal["none", "frame"] = "none"
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    crop_fraction: Annotated[float, Field(gt=0, le=1)] = 0.875
    pad_value: Annotated[int, Field(ge=0, le=255)] = 255
    scale: float = 1 / 255
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)

    @field_validator("std")
    @classmethod
    def _no_zero(cls, value: Triple) -> Triple:
        if any(v == 0 for v in value):
            raise ValueError("std must not be 0")
        return value


class BlockSpec(StrictSpec):
    """A named part of the vector that a search may weigh. Blocks follow each other in the vector.

    `share`: the squared length of this part of every vector, which must be the same for all pictures.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    size: Annotated[int, Field(ge=1, le=8192)]
    share: Annotated[float, Field(gt=0, le=1)]


class OutputSpec(StrictSpec):
    """What the model gives, and how that becomes one vector."""

    name: str = ""
    dimension: Annotated[int, Field(ge=1, le=8192)]
    pooling: Literal["none", "cls", "mean_tokens", "global_average"] = "none"
    blocks: tuple[BlockSpec, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.blocks:
            return self
        if sum(b.size for b in self.blocks) != self.dimension:
            raise ValueError("the sizes of the blocks must add up to the dimension")
        if abs(sum(b.share for b in self.blocks) - 1) > 1e-3:
            raise ValueError("the shares of the blocks must add up to 1")
        if len({b.name for b in self.blocks}) < len(self.blocks):
            raise ValueError("the names of the blocks must be unique")
        return self


class TextSpec(StrictSpec):
    """A text tower: a second model whose vectors of texts are compared with those of pictures. It may be added to a
    manifest or changed at any time: stored vectors do not depend on it.

    `mask`: the input for the attention mask; empty: the model has none. `padding`: "none" runs each text alone.
    """

    model: FileName
    sha256: Digest
    tokenizer: FileName = "tokenizer.json"
    tokenizer_sha256: Digest
    input: str = "input_ids"
    mask: str = ""
    output: str
    pooling: Literal["none", "cls", "mean_tokens"] = "none"
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 77
    padding: Literal["none", "max_tokens"] = "none"
    pad_id: Annotated[int, Field(ge=0)] = 0
    lowercase: bool = False


class ScoreSpec(StrictSpec):
    """From cosine distance to a score of 0 to 1: a logistic curve that is 1 at distance 0 and about half at
    `midpoint`; `width` is how gently it falls."""

    midpoint: Annotated[float, Field(gt=0, le=2)] = 0.3
    width: Annotated[float, Field(gt=0, le=1)] = 0.08
    near_duplicate_distance: Annotated[float, Field(ge=0, le=2)] = 0.05

    def score(self, distance: float) -> float:
        """The score of a cosine distance, 0 to 1, falling."""
        return self.scores((distance,))[0]

    def scores(self, distances: Iterable[float]) -> list[float]:
        """The scores of several distances."""
        middle, width, exp = self.midpoint, self.width, math.exp
        top = 1.0 + exp(-middle / width)
        return [min(1.0, top / (1.0 + exp((distance - middle) / width))) for distance in distances]

    def distance(self, score: float) -> float:
        """The largest distance whose score is at least `score`; the inverse of `score`."""
        if score <= 0:
            return 2.0
        top = 1.0 + math.exp(-self.midpoint / self.width)
        inner = top / score - 1.0
        return 2.0 if inner <= 0 else min(2.0, max(0.0, self.midpoint + self.width * math.log(inner)))


class Manifest(StrictSpec):
    """A checked manifest. Those of kind `vectors` have no model: collections take vectors that were made elsewhere."""

    id: str
    version: str
    license: str
    model: FileName = ""
    sha256: Digest = ""
    input: InputSpec = InputSpec(name="", size=(8, 8))
    output: OutputSpec
    text: TextSpec | None = None
    score: ScoreSpec = ScoreSpec()
    description: str = ""
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")] = "onnx"

    @field_validator("id")
    @classmethod
    def _plain_id(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", value):
            raise ValueError("the encoder id must match [a-z0-9][a-z0-9._-]{0,62}")
        return value

    @model_validator(mode="after")
    def _text_beside_pictures(self) -> Self:
        if self.text is not None and self.kind != "onnx":
            raise ValueError("only an encoder of kind onnx has a text tower")
        return self

    @model_validator(mode="after")
    def _model_where_there_is_one(self) -> Self:
        given = [n for n in ("model", "sha256", "input") if getattr(self, n) and n in self.model_fields_set]
        if self.vectors_only and given:
            raise ValueError(f"an encoder of kind {VECTORS} has no {', '.join(given)}")
        if not self.vectors_only and len(given) < 3:
            raise ValueError("model, sha256 and input are required")
        return self

    @property
    def vectors_only(self) -> bool:
        """Whether it encodes no pictures: its collections take vectors that were made elsewhere."""
        return self.kind == VECTORS

    @property
    def is_own(self) -> bool:
        """Whether it is a model of a tenant's own."""
        return self.id.startswith(OWN_PREFIX)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over the model's bytes and everything that is done before and after it."""
        parts = {
            "model": f"{VECTORS} {self.id} {self.version}" if self.vectors_only else self.sha256,
            "input": {k: v for k, v in self.input.model_dump().items() if (k, v) not in _ADDED_LATER},
            "output": self.output.model_dump(exclude={"blocks"}),  # names for parts of the same numbers
            "preprocessing": PREPROCESSING_VERSION,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def validated(path: Path, kind: type[Spec], page: str) -> Spec:
    """The manifest in a file. page: of docs/formats, which describes it. Raises SettingError, naming the remedy."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SettingError(f"{path}: {error.strerror}; the manifest must be in the folder of the model") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"]) or "the file"
        raise SettingError(f"{path}: {where}: {first['msg']} (see docs/formats/{page})") from error


def read_manifest(folder: Path) -> Manifest:
    """Reads and checks a manifest and the checksum of its model. Raises SettingError, naming the remedy."""
    manifest = validated(folder / MANIFEST_NAME, Manifest, "encoder-manifest.md")
    if manifest.vectors_only:
        return manifest
    check_digest(folder / manifest.model, manifest.sha256)
    if manifest.text is not None:
        check_digest(folder / manifest.text.model, manifest.text.sha256)
        check_digest(folder / manifest.text.tokenizer, manifest.text.tokenizer_sha256)
    return manifest


def check_digest(path: Path, stated: str) -> None:
    """Raises SettingError unless a file has the SHA-256 that its manifest states."""
    found = model_digest(path)
    if found != stated:
        raise SettingError(
            f"{path}: its SHA-256 is {found}, the manifest has {stated}; the file is damaged or is another model"
        )


def model_digest(path: Path) -> str:
    """SHA-256 of a model file, in hexadecimal. Raises SettingError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SettingError(f"{path}: {error.strerror}; the model must be in the folder of its manifest") from error
