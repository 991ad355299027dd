"""The parts of an object: outlines with a role that determines their material."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from service.encoder.builtin.generator.outlines import Outline

Role = Literal["main", "second", "detail", "metal", "dark", "cut"]
Span = Callable[[float, float], float]


@dataclass(frozen=True)
class Part:
    """An outline in -1..1. The role "cut" removes what is below it."""

    outline: Outline
    role: Role


Kind = Callable[[Span], list[Part]]


def both(outline: Outline, role: Role) -> list[Part]:
    """A part and its mirror image."""
    return [Part(outline, role), Part(outline * (-1, 1), role)]
