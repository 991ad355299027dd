"""A manifest for the ONNX file of a detector: what the graph says, what a run shows, and what its family wants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.detector.adding.families import DetectorFamily, Recognised, recognise
from service.detector.adding.graph import DetectorFacts, load_graph, read_facts, whole, with_columns
from service.detector.adding.outputs_read import Arrays, OutputsRead, read_outputs
from service.detector.manifest import DetectorManifest
from service.detector.registry import BUILTIN
from service.encoder.adding.model_file import (
    Guess,
    Model,
    Proposal,
    Size,
    checked,
    chosen_sizes,
    first_run,
    model_id,
    stated_model,
    telling_name,
)
from service.encoder.adding.picture_input import UnusableGraph
from service.encoder.builtin.generator.scenes import draw_scene
from service.encoder.manifest import InputSpec
from service.encoder.preprocess import tensor_shape, to_tensor

_CHANGED = ("detector.onnx", "detector-outputs.onnx")  # names of a model that had to be changed
_SIDES = (640, 800, 512, 416, 320, 300, 224)
_SCENE = 3  # a drawn scene with several goods
_COCO = 90  # classes of most detectors that do not say how many they have
_NAMELESS = frozenset({"model", "detector", "best", "last", "weights", "inference_graph"})


@dataclass(frozen=True)
class Wishes:
    """What the operator states; it goes before any guess. Empty: to be guessed. size: height and width in pixels."""

    detector_id: str = ""
    family: str = ""
    labels: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    resize: Literal["stretch", "crop", "pad", ""] = ""
    score_function: Literal["softmax", "sigmoid", ""] = ""
    box_format: Literal["xyxy", "yxyx", "cxcywh", ""] = ""
    min_score: float | None = None
    version: str = "1"
    license: str = "unknown"


def propose(path: Path, wishes: Wishes) -> Proposal[DetectorManifest]:
    """Inspects a file, and runs it on a drawn scene.

    Raises UnusableGraph, with the reason and what to do about it.
    """
    facts = read_facts(load_graph(path, weights=False))
    content = whole(load_graph(path, weights=True)) if facts.external else None
    run = partial(_results, facts)
    size, results = first_run(content or str(path), chosen_sizes(facts.picture.size, wishes.size, _SIDES), run)
    labels = wishes.labels or facts.labels
    read = read_outputs(results, len(labels))
    known = Recognised(wishes.family, "as stated") if wishes.family else recognise(read.kind, facts.names, path.name)
    if known.family.kind != read.kind:
        raise UnusableGraph(f"the outputs are not those of {known.name}: {read.why}")
    if facts.picture.size is None and wishes.size is None and size != (usual := (known.family.size,) * 2):
        size, results = first_run(content or str(path), [usual, size], run)
        read = read_outputs(results, len(labels))
    if read.columns:
        content = with_columns(load_graph(path, weights=True), read.boxes)
    stated = {
        "id": wishes.detector_id or detector_id_of(path), "version": wishes.version, "license": wishes.license,
        **stated_model(path, content, _CHANGED),
        "input": _input(facts, known.family, size, wishes), "output": _output(read, known, wishes),
        "labels": labels or _numbered(read, known, wishes),
        **({} if wishes.min_score is None else {"min_score": wishes.min_score}),
    }  # fmt: skip
    manifest = checked(DetectorManifest, stated)
    return Proposal(manifest, content, tuple(_guesses(facts, read, known, manifest, wishes, content is not None)))


def detector_id_of(path: Path) -> str:
    """An id that follows from the name of the file, or of its folder where the file's says nothing."""
    return model_id(path, telling_name(path, _NAMELESS), lambda found: found == BUILTIN)


def _results(facts: DetectorFacts, model: Model, size: Size) -> Arrays:
    """What the model gives for a drawn scene."""
    taken = facts.picture
    spec = InputSpec(name=taken.name, size=size, layout=taken.layout, dtype=taken.dtype, scale=facts.scaling or 1 / 255)
    tensor: NDArray[np.generic] = to_tensor(draw_scene(_SCENE).pixels, spec)
    outputs = model(None, {taken.name: tensor if taken.alone else tensor[None]})
    return {name: np.asarray(array) for name, array in zip(facts.outputs, outputs, strict=True)}


def _input(facts: DetectorFacts, family: DetectorFamily, size: tuple[int, int], wishes: Wishes) -> dict[str, Any]:
    taken, resize = facts.picture, wishes.resize or family.resize
    found: dict[str, Any] = {
        "name": taken.name, "size": size, "layout": taken.layout, "dtype": taken.dtype, "resize": resize
    }  # fmt: skip
    if resize == "pad":
        found["pad_value"] = 114  # the grey that YOLO models are trained with
    if facts.scaling is not None:
        found["scale"] = facts.scaling
    elif taken.dtype != "uint8" and family.normalisation is not None:
        found["mean"], found["std"] = family.normalisation
    return found


def _output(read: OutputsRead, known: Recognised, wishes: Wishes) -> dict[str, Any]:
    found: dict[str, Any] = {"shape": read.shape, "boxes": "boxes" if read.columns else read.boxes}
    if read.columns:
        found |= {"scores": "scores", "classes": "classes"}
    elif read.scores:
        found |= {"scores": read.scores} | ({"classes": read.classes} if read.classes else {})
    if read.kind == "detr":
        found["score_function"] = _score_function(read, known, wishes)
    if read.kind == "ssd" and (read.classes and known.family.first_class and read.least_class != 0):
        found["first_class"] = known.family.first_class
    if form := wishes.box_format or known.family.box_format:
        found["box_format"] = form
    if read.unit:
        found["box_unit"] = read.unit
    elif known.name == "tensorflow":
        found["box_unit"] = "fraction"
    return found


def _score_function(read: OutputsRead, known: Recognised, wishes: Wishes) -> str:
    """What a run shows goes before what the family usually has, unless something tells the family."""
    if wishes.score_function or known.by:
        return wishes.score_function or known.family.score_function
    return "softmax" if read.background else "sigmoid"


def _numbered(read: OutputsRead, known: Recognised, wishes: Wishes) -> tuple[str, ...]:
    count = read.class_count or _COCO
    if read.kind == "detr" and _score_function(read, known, wishes) == "softmax":
        count -= 1  # no object
    if count == 1 and not read.classes:
        return ("object",)
    return tuple(f"class {n + known.family.first_class}" for n in range(count))


def _guesses(
    facts: DetectorFacts, read: OutputsRead, known: Recognised, manifest: DetectorManifest, wishes: Wishes,
    changed: bool,
) -> Iterator[Guess]:  # fmt: skip
    spec, output = manifest.input, manifest.output
    yield Guess("family", known.name, known.by or "the usual one of these outputs; else pass --family")
    shape = ", ".join(map(str, (*(() if facts.picture.alone else (facts.picture.batch or "n",)), *tensor_shape(spec))))
    fixed = "fixed by the graph" if facts.picture.size else "as stated" if wishes.size else "at which it runs"
    yield Guess("input", f"{spec.name} [{shape}] {spec.dtype}", fixed)
    if facts.scaling is not None or spec.dtype == "uint8":
        yield Guess("pixels", "0 to 255" if spec.dtype == "uint8" or spec.scale == 1 else "0 to 1",
                    "the graph scales them itself")  # fmt: skip
    else:
        value = (
            "0 to 1" if known.family.normalisation is None else f"mean {spec.mean[0]:.3g}, std {spec.std[0]:.3g}, ..."
        )
        yield Guess("pixels", value, f"family {known.name}")
    yield Guess("resize", spec.resize, "as stated" if wishes.resize else f"family {known.name}")
    yield Guess("outputs", f"{output.shape}: {', '.join(output.names)}", read.why)
    unit_why = "a run gave such numbers" if read.unit else "nothing was found in a drawn scene; the usual one"
    yield Guess("boxes", f"{output.format} in {output.unit}s", unit_why)
    if read.kind == "detr":
        by = "as stated" if wishes.score_function else f"family {known.name}" if known.by else "which class wins a run"
        yield Guess("scores", output.score_function, by)
    named = "as stated" if wishes.labels else "the file names them" if facts.labels else "no names; pass --labels"
    if not read.class_count and not (wishes.labels or facts.labels):
        named = f"the outputs do not say how many; {_COCO} are a guess: pass --labels"
    yield Guess("labels", f"{len(manifest.labels)}: {', '.join(manifest.labels[:3])}"
                + (", ..." if len(manifest.labels) > 3 else ""), named)  # fmt: skip
    if changed:
        parts = ["rows are split into boxes, scores and classes"] * read.columns
        yield Guess("model", "rewritten", "; ".join([*parts, *(["weights lie in other files"] * facts.external)]))
