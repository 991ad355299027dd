"""Messages for invalid settings on one line: name, value, origin and remedy."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from service.errors import SettingError

_MAX_SHOWN = 60
_WORDS: dict[Any, str] = {
    bool: "true or false", int: "a whole number", float: "a number", Path: "a path", str: "text", SecretStr: "text",
}  # fmt: skip


@dataclass(frozen=True)
class Origins:
    """The origins of settings.

    - `kinds`: "flag", "environment", "file" or "default", by name.
    - `given_as`: the old name under which a setting was given, by name.
    """

    kinds: Mapping[str, str]
    config_file: Path | None
    prefix: str
    given_as: Mapping[str, str] = field(default_factory=dict)

    def place(self, name: str) -> str:
        """Where to change one setting."""
        kind = self.kinds.get(name, "default")
        if kind == "flag":
            return f"the flag --{name.replace('_', '-')}"
        if kind == "environment":
            return f"{self.prefix}{self.given_as.get(name, name).upper()} in the environment"
        under = f"{self.given_as[name]} in " if name in self.given_as else ""
        return f"{under}the file {self.config_file}" if kind == "file" else "its default"

    def added_to(self, error: SettingError) -> SettingError:
        """The error with the origins of its settings."""
        given = [name for name in error.settings if self.kinds.get(name, "default") != "default"]
        places = "; ".join(f"{name} comes from {self.place(name)}" for name in given)
        return SettingError(f"{error} ({places})") if places else error


def explained(error: ValidationError, model: type[BaseModel], origins: Origins, given: Mapping[str, Any]) -> str:
    """Describes the first setting that pydantic rejects, and the number of others. `given`: raw values by name."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    names = list(dict.fromkeys(str(e["loc"][0]) for e in found))
    name = names[0]
    others = f" (and {len(names) - 1} more: {', '.join(names[1:4])})" if len(names) > 1 else ""
    field = model.model_fields.get(name)
    if field is None:
        return f"{name}: unknown setting{_in(origins, name)}{hint(name, model.model_fields)}{others}"
    value = "its value" if _is_secret(field) else _shown(given.get(name))
    default = "" if _is_secret(field) or field.is_required() else f", or unset it for {_default(field)}"
    return f"{name}: {value}, from {origins.place(name)}, is not {expected(field)}; change it{default}{others}"


def hint(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Suggests the most similar valid name with its prefix, as the end of a sentence."""
    near = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f"; did you mean {prefix}{near[0]}?" if near else "; docs/configuration.md lists them"


def expected(field: FieldInfo) -> str:
    """The accepted values of a setting, in words."""
    kind = _plain(field.annotation)
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kind)))
    if kind not in _WORDS:
        return "a list, such as one,two"
    pattern = next((m.pattern for m in field.metadata if getattr(m, "pattern", None)), "")
    return _WORDS[kind] + (f" of the form {pattern}" if pattern else "") + _bounds(field)


def _bounds(field: FieldInfo) -> str:
    said = []
    for rule in field.metadata:
        if isinstance(rule, Ge):
            said.append(f"at least {rule.ge}")
        elif isinstance(rule, Gt):
            said.append(f"more than {rule.gt}")
        elif isinstance(rule, Le):
            said.append(f"at most {rule.le}")
    return f" of {' and '.join(said)}" if said else ""


def _plain(annotation: Any) -> Any:
    """The type without `None`."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return next(a for a in typing.get_args(annotation) if a is not type(None))
    return annotation


def _is_secret(field: FieldInfo) -> bool:
    return _plain(field.annotation) is SecretStr


def _default(field: FieldInfo) -> str:
    if isinstance(field.default, bool):
        return f"the default, {str(field.default).lower()}"
    return "the default" if field.default in ("", (), None) else f"the default, {field.default}"


def _in(origins: Origins, name: str) -> str:
    return f" (in {origins.place(name)})" if origins.kinds.get(name) == "file" else ""


def _shown(value: object) -> str:
    text = repr(str(value) if isinstance(value, Path) else value)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"
