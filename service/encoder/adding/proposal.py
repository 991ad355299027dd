"""A manifest for an ONNX file: what the graph says, what running it shows, and what its family wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.encoder.adding.families import Family, Recognised, recognise
from service.encoder.adding.graph import GraphFacts, UnusableGraph, cut_graph, load_graph, read_facts
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
from service.encoder.manifest import OWN_PREFIX, Manifest
from service.encoder.preprocess import tensor_shape

Pooling = Literal["none", "cls", "mean_tokens", "global_average"]
_GENERAL_NAMES = (
    "image_embeds", "image_embeddings", "image_features", "embeddings", "embedding", "features", "pooler_output",
)  # fmt: skip
_USUAL_SIDES = (224, 256, 384, 336, 448, 512, 518)
_LEAST_DIMENSION, _MOST_DIMENSION = 8, 8192
_NAMELESS = frozenset({"model", "encoder", "vision_model", "image_encoder", "visual"})
_CHANGED = ("encoder.onnx", "encoder-pictures.onnx")  # names of a model that had to be changed
_REGISTERS = (1, 5)  # tokens beside the patches: the class token, and four registers with it
Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Wishes:
    """What the operator states; it goes before any guess. Empty: to be guessed. size: height and width in pixels."""

    encoder_id: str = ""
    family: str = ""
    output: str = ""
    pooling: Pooling | Literal[""] = ""
    size: tuple[int, int] | None = None
    resize: Literal["stretch", "crop", "pad", ""] = ""
    version: str = "1"
    license: str = "unknown"


def propose(path: Path, wishes: Wishes) -> Proposal[Manifest]:
    """Inspects a file and runs it once or a few times on an empty picture.

    Raises UnusableGraph, with the reason and what to do about it.
    """
    facts = read_facts(load_graph(path, weights=False))
    known = Recognised(wishes.family, "") if wishes.family else recognise(facts.names, telling_name(path, _NAMELESS))
    wanted = (wishes.output,) if wishes.output else tuple(facts.before_classes.get(o, o) for o in facts.outputs)
    content = cut_graph(path, facts, wanted) if _must_be_cut(facts, wanted) else None
    # A graph that takes any size runs at the usual one. One with a table of positions runs at that table's alone.
    sizes = chosen_sizes(facts.picture.size, wishes.size, (known.family.size, *facts.sides, *_USUAL_SIDES))
    size, results = first_run(content if content is not None else str(path), sizes, partial(_results, facts, wanted))
    output = wishes.output or _best_output(results, known.family)
    if content is not None and len(wanted) > 1:
        content = cut_graph(path, facts, (output,))
    pooling, why = _pooling(results[output], facts, size, wishes)
    stated = {
        "id": wishes.encoder_id or encoder_id_of(path), "version": wishes.version, "license": wishes.license,
        **stated_model(path, content, _CHANGED),
        "input": _input(facts, known.family, size, wishes),
        "output": {"name": output, "dimension": _dimension(results[output], pooling, facts), "pooling": pooling},
    }  # fmt: skip
    manifest = checked(Manifest, stated)
    return Proposal(manifest, content, tuple(_guesses(facts, known, manifest, wishes, why, content is not None)))


def encoder_id_of(path: Path) -> str:
    """An id that follows from the name of the file, or of its folder where the file's says nothing."""
    return model_id(
        path, telling_name(path, _NAMELESS), lambda found: found == "builtin" or found.startswith(OWN_PREFIX)
    )


def _must_be_cut(facts: GraphFacts, wanted: Sequence[str]) -> bool:
    return bool(facts.other_inputs) or facts.external or not set(wanted) <= set(facts.outputs)


def _results(facts: GraphFacts, wanted: Sequence[str], model: Model, size: Size) -> Arrays:
    """What the model gives for an empty picture."""
    shape = (3, *size) if facts.picture.layout == "NCHW" else (*size, 3)
    picture = np.zeros((facts.picture.batch or 1, *shape), facts.picture.dtype)
    return dict(zip(wanted, model(list(wanted), {facts.picture.name: picture}), strict=True))


def _best_output(results: Arrays, family: Family) -> str:
    usable = [n for n, array in results.items() if array.ndim in (2, 3, 4) and array.dtype.kind == "f"
              and max(array.shape[1:]) >= _LEAST_DIMENSION]  # fmt: skip
    if not usable:
        shown = "; ".join(f"{name}: {list(array.shape)}" for name, array in results.items())
        raise UnusableGraph(f"no output is a vector, a row of tokens or a map of features; outputs: {shown}")
    named = [name for name in (*family.outputs, *_GENERAL_NAMES) if name in usable]
    vectors = [name for name in usable if results[name].ndim == 2]
    return (named or vectors or usable)[0]


def _pooling(
    array: NDArray[np.generic], facts: GraphFacts, size: tuple[int, int], wishes: Wishes
) -> tuple[Pooling, str]:
    if wishes.pooling:
        return wishes.pooling, "as stated"
    if array.ndim == 4:
        whole = array.shape[2:] == (1, 1)
        return ("none", "one number of each channel") if whole else ("global_average", "a map of features")
    if array.ndim == 3:
        tokens = array.shape[1]
        patches = (size[0] // facts.patch) * (size[1] // facts.patch) if facts.patch else 0
        extra = next((e for e in _REGISTERS if round((tokens - e) ** 0.5) ** 2 == tokens - e), 0)
        extra = tokens - patches if patches else extra
        if extra > 0:
            return "cls", f"{tokens} tokens, {extra} more than patches: the first is the class token"
        return "mean_tokens", f"{tokens} tokens, one for each patch"
    return "none", "one vector"


def _dimension(array: NDArray[np.generic], pooling: Pooling, facts: GraphFacts) -> int:
    if pooling == "global_average" and array.ndim == 4:
        found = array.shape[1] if facts.picture.layout == "NCHW" else array.shape[3]
    elif pooling in ("cls", "mean_tokens") and array.ndim == 3:
        found = array.shape[2]
    else:
        found = int(np.prod(array.shape[1:]))
    if found > _MOST_DIMENSION:
        raise UnusableGraph(
            f"a vector would have {found} dimensions, more than {_MOST_DIMENSION}; pass --output or --pooling"
        )
    return int(found)


def _input(facts: GraphFacts, family: Family, size: tuple[int, int], wishes: Wishes) -> dict[str, Any]:
    resize = wishes.resize or family.resize
    found: dict[str, Any] = {
        "name": facts.picture.name, "size": size, "layout": facts.picture.layout, "dtype": facts.picture.dtype,
        "resize": resize,
    }  # fmt: skip
    if resize == "crop":
        found["crop_fraction"] = family.crop_fraction
    if facts.normalises is not None:
        found["scale"] = facts.normalises
    elif facts.picture.dtype != "uint8":
        found["mean"], found["std"] = family.normalisation
    return found


def _guesses(
    facts: GraphFacts, known: Recognised, manifest: Manifest, wishes: Wishes, pooling_why: str, cut: bool
) -> Iterator[Guess]:
    spec, batch = manifest.input, facts.picture.batch
    by = "as stated" if wishes.family else known.by or "nothing tells it; pass --family"
    yield Guess("family", known.name, by)
    shape = ", ".join(map(str, (batch or "n", *tensor_shape(spec))))
    yield Guess("input", f"{spec.name} [{shape}] {spec.dtype}", _size_reason(facts, wishes))
    if facts.normalises is not None or spec.dtype == "uint8":
        whole = spec.dtype == "uint8" or spec.scale == 1
        yield Guess("pixels", "0 to 255" if whole else "0 to 1", "the graph scales them itself")
    else:
        yield Guess("pixels", f"mean {_rounded(spec.mean)}, std {_rounded(spec.std)}", f"family {known.name}")
    yield Guess("resize", spec.resize, "as stated" if wishes.resize else f"family {known.name}")
    behind = facts.before_classes.values()
    why = "the value before the classifier" if manifest.output.name in behind and not wishes.output else pooling_why
    yield Guess(
        "output", f"{manifest.output.name}, {manifest.output.pooling}, {manifest.output.dimension} numbers", why
    )
    if cut:
        reasons = [
            *([f"it also takes {', '.join(facts.other_inputs)}"] if facts.other_inputs else []),
            *(["weights lie in other files"] if facts.external else []),
            *([] if manifest.output.name in facts.outputs else ["the output lies within the graph"]),
        ]
        yield Guess("model", "rewritten", "; ".join(reasons))
    if batch is not None:
        yield Guess("batch", str(batch), "fixed by the graph; an axis of any length is faster")


def _size_reason(facts: GraphFacts, wishes: Wishes) -> str:
    if facts.picture.size is not None:
        return "fixed by the graph"
    return "as stated" if wishes.size else "the first size at which it runs"


def _rounded(values: Sequence[float]) -> str:
    return "/".join(f"{v:.3g}" for v in values)
