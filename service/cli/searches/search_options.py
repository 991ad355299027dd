"""Options of searches that several commands have."""

from __future__ import annotations

from collections.abc import Sequence

from afterimage.client import Boost, Term
from service.cli.output import CommandError, Exit

_DECAYS = ("linear", "exponential", "gauss")


def parse_emphasis(options: Sequence[str], name_of_option: str = "--emphasis") -> dict[str, float]:
    """The weights of BLOCK=WEIGHT. Raises CommandError."""
    weights = {}
    for option in options:
        name, _, weight = option.partition("=")
        try:
            weights[name] = float(weight)
        except ValueError:
            raise CommandError(f"{name_of_option} {option!r}: not BLOCK=WEIGHT", code=Exit.USAGE) from None
    return weights


def parse_boosts(options: Sequence[str]) -> list[Boost]:
    """The boosts of WEIGHT FILTER or WEIGHT NAME:DECAY:ORIGIN:SCALE[:OFFSET][:more|less]. Raises CommandError."""
    return [_boost(option) for option in options]


def parse_colors(options: Sequence[str]) -> list[Term]:
    """The terms of COLOR or COLOR=WEIGHT. Raises CommandError."""
    terms = []
    for option in options:
        color, equals, weight = option.partition("=")
        try:
            terms.append(Term(color=color, weight=float(weight) if equals else 1.0))
        except ValueError:
            raise CommandError(f"--color {option!r}: not COLOR or COLOR=WEIGHT", code=Exit.USAGE) from None
        if not color:
            raise CommandError(f"--color {option!r}: the color is missing", code=Exit.USAGE)
    return terms


def parse_parameters(options: Sequence[str]) -> dict[str, str | float | bool]:
    """The parameters of NAME=VALUE: numbers and booleans by their form. Raises CommandError."""
    found: dict[str, str | float | bool] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise CommandError(f"--param {option!r}: not NAME=VALUE", code=Exit.USAGE)
        found[name] = _guessed(value)
    return found


def parse_value(text: str, kind: str) -> str | float | bool:
    """A value of the type string, number or boolean. Raises CommandError."""
    if kind == "string":
        return text
    value = _guessed(text)
    if isinstance(value, bool if kind == "boolean" else float):
        return value
    raise CommandError(f"{text!r} is no {kind}", code=Exit.USAGE)


def boost_text(boost: Boost) -> str:
    """A boost as `parse_boosts` reads it."""
    weight = f"{boost.weight:.6g}"
    if boost.filter:
        return f"{weight} {boost.filter}"
    offset = f":{boost.offset:.6g}" if boost.offset else ""
    side = "" if boost.side == "both" else f":{boost.side}"
    return f"{weight} {boost.attribute}:{boost.decay}:{boost.origin:.6g}:{boost.scale:.6g}{offset}{side}"


def _guessed(text: str) -> str | float | bool:
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _numeric_boost(weight: float, parts: list[str]) -> Boost:
    """Of NAME, DECAY, ORIGIN, SCALE and, each if it is there, OFFSET and the side. Raises ValueError."""
    attribute, decay, origin, scale, *rest = parts
    side = rest.pop() if rest and rest[-1] in ("more", "less") else "both"
    offset = float(rest.pop(0)) if rest else 0.0
    if rest:
        raise ValueError
    return Boost(
        weight, attribute=attribute, origin=float(origin), scale=float(scale), offset=offset, decay=decay, side=side
    )


def _boost(option: str) -> Boost:
    weight, _, rest = option.strip().partition(" ")
    parts = rest.strip().split(":")
    try:
        if len(parts) >= 4 and parts[1] in _DECAYS:
            return _numeric_boost(float(weight), parts)
        if rest.strip():
            return Boost(float(weight), filter=rest.strip())
    except ValueError:
        pass
    message = "not WEIGHT FILTER, nor WEIGHT NAME:DECAY:ORIGIN:SCALE[:OFFSET][:more|less]"
    raise CommandError(f"--boost {option!r}: {message}", code=Exit.USAGE)
