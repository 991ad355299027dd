"""Renamed settings.

The old names work until the version in docs/versioning.md, so that a server starts after an upgrade.
"""

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
    """The settings of one source under their current names.

    - `given_as`: maps current names to the old names that were used.
    - `warnings`: one line for each old name.
    """

    values: Mapping[str, T]
    given_as: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def current_names(given: Mapping[str, T], shown: Callable[[str], str]) -> CurrentNames[T]:
    """The settings of one source with old names replaced. `shown` formats a name for messages.

    If both names are given, the new one is used, because an environment may serve two versions.
    """
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
