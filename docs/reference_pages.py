"""Writes the reference pages of the two libraries from their docstrings: docs/reference/index.md and client.md."""

from __future__ import annotations

import enum
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

PAGES = {
    "reference/index.md": ("The index library", ("index", "index.contract", "index.storage")),
    "reference/client.md": ("The Python client", ("afterimage.client",)),
}


def render(title: str, modules: tuple[str, ...]) -> str:
    """One page: every public name of the modules, with signatures and docstrings."""
    lines = [f"# {title}: reference", "", "Made by `make docs` from the docstrings.", ""]
    for name in modules:
        module = importlib.import_module(name)
        lines += [f"## `{name}`", ""]
        for public in sorted(public_names(module)):
            lines += _entry(public, getattr(module, public))
    return "\n".join(lines).rstrip() + "\n"


def public_names(module: Any) -> list[str]:
    """What a module exports: its `__all__`, or what it defines itself without a leading underscore."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    return [name for name in own if not name.startswith("_")]


def _entry(name: str, value: Any) -> list[str]:
    if inspect.isclass(value):
        return [f"### class `{name}`", "", *_text(value), *_members(value)]
    if inspect.isfunction(value):
        return [f"### `{name}{_signature(value)}`", "", *_text(value)]
    shown = repr(value) if isinstance(value, (int, str, float, bytes)) else ""
    return [f"### `{name}`", "", f"Value: `{shown}`." if shown else "A type alias.", ""]


def _members(cls: type) -> Iterator[str]:
    if issubclass(cls, enum.Enum):
        yield from ("Members: " + ", ".join(f"`{m.name}`" for m in cls) + ".", "")
        return
    fields = _fields(cls)
    if fields:
        yield from ("Fields: " + ", ".join(f"`{f}`" for f in fields) + ".", "")
    for name, value in sorted(vars(cls).items()):
        value = getattr(value, "__func__", value)
        if name.startswith("_") or name in fields:
            continue
        if isinstance(value, property):
            yield from (f"#### `{name}`", "", *_text(value))
        elif inspect.isfunction(value):
            yield from (f"#### `{name}{_signature(value)}`", "", *_text(value))


def _fields(cls: type) -> list[str]:
    fields = getattr(cls, "__dataclass_fields__", None) or getattr(cls, "_fields", None)
    return [name for name in fields if not name.startswith("_")] if fields else []


def _signature(value: Any) -> str:
    try:
        return (
            str(inspect.signature(value))
            .replace("'", "")
            .replace("builtins.", "")
            .replace("(self, ", "(")
            .replace("(self)", "()")
        )
    except ValueError:
        return "(…)"


def _text(value: Any) -> list[str]:
    text = inspect.cleandoc(value.__doc__) if value.__doc__ else ""
    if isinstance(value, type) and value.__doc__ and value.__doc__.startswith(f"{value.__name__}("):
        text = ""  # made by dataclass or NamedTuple
    return [text, ""] if text else []
