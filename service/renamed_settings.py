"""Settings that had other names in earlier versions. The old names work until a version that docs/versioning.md
names, so that a server starts after an upgrade."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

# Old name -> new name. An entry stays for as long as docs/versioning.md promises. Each renamed setting says its old
# name in docs/configuration.md.
RENAMED: dict[str, str] = {}


@dataclass(frozen=True)
class CurrentNames(Generic[T]):
    """Settings of one source under the names of this version. given_as: the old name of each that came under it, by
    its new name. warnings: a line for each old name."""

    values: Mapping[str, T]
    given_as: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def current_names(given: Mapping[str, T], shown: Callable[[str], str]) -> CurrentNames[T]:
    """The settings of one source with old names replaced. Where both names are given, the new one counts: an
    environment may serve two versions. shown: how a message writes a name."""
    values = {name: value for name, value in given.items() if name not in RENAMED}
    given_as, warnings = {}, []
    for old in given:
        if (new := RENAMED.get(old)) is None:
            continue
        if new in given:
            warnings.append(f"{shown(old)} is deprecated and ignored, as {shown(new)} is set: remove {shown(old)}")
            continue
        values[new], given_as[new] = given[old], old
        warnings.append(f"{shown(old)} is deprecated: rename it to {shown(new)}")
    return CurrentNames(values, given_as, tuple(warnings))
