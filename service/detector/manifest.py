"""A detector's manifest, `detector.json`: what the model takes, what its outputs mean, and where it comes from.

docs/formats/detector-manifest.md describes every field.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from service.encoder.manifest import Digest, FileName, InputSpec, StrictSpec, check_digest, validated

MANIFEST_NAME = "detector.json"
_FORMATS = {"ssd": "xyxy", "yolov8": "cxcywh", "yolov5": "cxcywh", "detr": "cxcywh"}
_UNITS = {"ssd": "pixel", "yolov8": "pixel", "yolov5": "pixel", "detr": "fraction"}
Share = Annotated[float, Field(ge=0, le=1)]


class OutputsSpec(StrictSpec):
    """What the model gives. `boxes` is the only output of a YOLO model; the others have outputs for scores, and for
    classes where there are several.

    box_format, box_unit: empty means what models of this shape usually have. first_class: the number that the model
    gives to the first label; lower ones are background, and dropped.
    """

    shape: Literal["yolov8", "yolov5", "detr", "ssd"]
    boxes: str
    scores: str = ""
    classes: str = ""
    box_format: Literal["", "xyxy", "yxyx", "cxcywh"] = ""
    box_unit: Literal["", "pixel", "fraction"] = ""
    score_function: Literal["softmax", "sigmoid"] = "softmax"
    first_class: Annotated[int, Field(ge=0, le=1000)] = 0

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        yolo = self.shape in ("yolov8", "yolov5")
        if yolo and (self.scores or self.classes):
            raise ValueError(f"a model of shape {self.shape} has one output, boxes")
        if not yolo and not self.scores:
            raise ValueError(f"a model of shape {self.shape} needs output.scores")
        if self.classes and self.shape != "ssd":
            raise ValueError("only a model of shape ssd has output.classes")
        if self.first_class and self.shape != "ssd":
            raise ValueError("only a model of shape ssd has output.first_class")
        return self

    @property
    def format(self) -> str:
        """The order of the four numbers of a box."""
        return self.box_format or _FORMATS[self.shape]

    @property
    def unit(self) -> str:
        """Whether boxes are in pixels of the input, or in shares of its sides."""
        return self.box_unit or _UNITS[self.shape]

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs to ask the model for: of boxes, then of scores and classes where there are any."""
        return tuple(filter(None, (self.boxes, self.scores, self.classes)))


class DetectorManifest(StrictSpec):
    """A checked manifest. labels: names of the classes, in the order of their numbers. min_score: of an object, unless
    a call says otherwise. max_overlap: intersection over union above which the lower of two boxes is dropped."""

    id: str
    version: str
    license: str
    model: FileName
    sha256: Digest
    input: InputSpec
    output: OutputsSpec
    labels: Annotated[tuple[Annotated[str, Field(max_length=256)], ...], Field(min_length=1, max_length=10_000)]
    min_score: Share = 0.3
    max_overlap: Share = 0.5
    description: str = ""

    @field_validator("id")
    @classmethod
    def _plain_id(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", value):
            raise ValueError("the detector id must match [a-z0-9][a-z0-9._-]{0,62}")
        return value

    @field_validator("input")
    @classmethod
    def _whole_pictures(cls, value: InputSpec) -> InputSpec:
        if value.trim != "none":
            raise ValueError("a detector sees whole pictures: trim must be none")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.model or not self.sha256:
            raise ValueError("model and sha256 must not be empty")
        if self.output.shape == "ssd" and not self.output.classes and len(self.labels) > 1:
            raise ValueError("several labels need output.classes")
        return self


def read_detector(folder: Path) -> DetectorManifest:
    """Reads and checks a manifest and the checksum of its model. Raises SettingError, naming the remedy."""
    manifest = validated(folder / MANIFEST_NAME, DetectorManifest, "detector-manifest.md")
    check_digest(folder / manifest.model, manifest.sha256)
    return manifest
