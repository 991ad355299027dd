"""What is the same for the files of encoders and of detectors: ids, sizes to try, a first run, a valid manifest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from service.encoder.adding.picture_input import UnusableGraph
from service.encoder.manifest import Spec, model_digest
from service.encoder.session import first_line, load_model

Size = tuple[int, int]  # height and width in pixels
# A model: from names of outputs, None for all, and inputs by name to the outputs.
Model = Callable[[list[str] | None, dict[str, Any]], Sequence[Any]]
T = TypeVar("T")


@dataclass(frozen=True)
class Guess:
    """What was decided, and by what."""

    what: str
    value: str
    why: str


@dataclass(frozen=True)
class Proposal(Generic[Spec]):
    """A manifest with the reasons for it. content: the model, where the file had to be changed; None: it is used as it
    is."""

    manifest: Spec
    content: bytes | None
    guesses: tuple[Guess, ...]


def telling_name(path: Path, nameless: frozenset[str]) -> str:
    """The name of a file, or of its folder where the file's says nothing. nameless: such names, in lower case."""
    return path.resolve().parent.name if path.stem.lower() in nameless else path.stem


def model_id(path: Path, name: str, is_taken: Callable[[str], bool]) -> str:
    """The id that follows from a telling name. Raises UnusableGraph where none does, or it `is_taken`."""
    found = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:63]
    if not found or is_taken(found):
        raise UnusableGraph(f"{path}: no id follows from this name; pass --id")
    return found


def stated_model(path: Path, content: bytes | None, names: tuple[str, str]) -> dict[str, str]:
    """What a manifest says of its model. content: the changed model; None: the file is used as it is. names: of a
    changed model, of which it gets the first that is not that of the file, which stays as it is."""
    if content is None:
        return {"model": path.name, "sha256": model_digest(path)}
    name = next(name for name in names if name != path.name)
    return {"model": name, "sha256": hashlib.sha256(content).hexdigest()}


def chosen_sizes(fixed: Size | None, wished: Size | None, usual: Sequence[int]) -> list[Size]:
    """Sizes to try, the likeliest first. fixed: that of the graph. usual: sides. Raises UnusableGraph."""
    if fixed is not None and wished not in (None, fixed):
        raise UnusableGraph(f"the graph takes pictures of {fixed[0]} x {fixed[1]} only")
    if chosen := fixed or wished:
        return [chosen]
    return [(side, side) for side in dict.fromkeys(usual)]


def first_run(source: str | bytes, sizes: Sequence[Size], run: Callable[[Model, Size], T]) -> tuple[Size, T]:
    """The first size at which the model runs, and what it gives there. Raises UnusableGraph where there is none."""
    try:
        session = load_model(source, 1)
    except Exception as error:  # ONNX Runtime raises a class of its own per failure
        raise UnusableGraph(f"ONNX Runtime cannot load the model: {first_line(error)}") from error
    failure = ""
    for size in sizes:
        try:
            return size, run(session.run, size)
        except Exception as error:
            failure = failure or first_line(error)
    tried = ", ".join(f"{height} x {width}" for height, width in sizes)
    raise UnusableGraph(f"the model does not run on a picture of {tried}; pass --size. ONNX Runtime says: {failure}")


def checked(kind: type[Spec], stated: dict[str, Any]) -> Spec:
    """The manifest that states this. Raises UnusableGraph where it cannot be one."""
    try:
        return kind.model_validate(stated)
    except ValidationError as error:
        first = error.errors()[0]
        raise UnusableGraph(f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}") from error
