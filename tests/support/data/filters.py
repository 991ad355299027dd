"""Random filters with their meaning in plain Python, written from docs/filters.md and not from the parser."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Mapping
from typing import Any

Attributes = Mapping[str, Any]
Predicate = Callable[[str, Attributes], bool]  # of a product id and attributes
COLORS = ("red", "green", "blue", "dark red", "Red")
TAGS = ("new", "sale", "x y", "newest")
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip


def random_attributes(chance: random.Random) -> dict[str, Any]:
    """Attributes of a record: all types, some missing, and `mixed` with a random type."""
    made: dict[str, Any] = {}
    if chance.random() < 0.9:
        made["color"] = chance.choice(COLORS)
    if chance.random() < 0.9:
        made["price"] = float(chance.randrange(100)) / 2
    if chance.random() < 0.7:
        made["sale"] = chance.random() < 0.5
    if chance.random() < 0.7:
        made["tags"] = tuple(chance.sample(TAGS, chance.randrange(0, 3)))
    if chance.random() < 0.5:
        made["mixed"] = chance.choice(["5", 5.0, True, ("5", "a")])
    return made


def random_filter(chance: random.Random, depth: int = 3) -> tuple[str, Predicate]:
    """A filter, and whether a record matches it."""
    if depth == 0 or chance.random() < 0.4:
        return _restriction(chance)
    kind = chance.choice(["AND", "OR", "NOT", "-"])
    if kind in ("NOT", "-"):
        text, matches = random_filter(chance, depth - 1)
        return f"NOT ({text})" if kind == "NOT" else f"-({text})", lambda p, a: not matches(p, a)
    parts = [random_filter(chance, depth - 1) for _ in range(chance.randrange(2, 4))]
    whole = all if kind == "AND" else any
    return f" {kind} ".join(f"({text})" for text, _ in parts), lambda p, a: whole(m(p, a) for _, m in parts)


def _restriction(chance: random.Random) -> tuple[str, Predicate]:
    return chance.choice([_text, _text, _number, _truth, _has, _prefix, _there, _product])(chance)


def _text(chance: random.Random) -> tuple[str, Predicate]:
    name, operator = chance.choice(["color", "mixed"]), chance.choice(list(COMPARE))
    value = chance.choice(COLORS) if name == "color" else "5"
    compare = COMPARE[operator]
    return f'{name} {operator} "{value}"', lambda _, a: type(a.get(name)) is str and compare(a[name], value)


def _number(chance: random.Random) -> tuple[str, Predicate]:
    name, operator = chance.choice(["price", "price", "mixed"]), chance.choice(list(COMPARE))
    value = float(chance.randrange(100)) / 2 if name == "price" else 5.0
    compare = COMPARE[operator]
    return f"{name} {operator} {value:g}", lambda _, a: type(a.get(name)) is float and compare(a[name], value)


def _truth(chance: random.Random) -> tuple[str, Predicate]:
    name, operator, value = chance.choice(["sale", "mixed"]), chance.choice(["=", "!="]), chance.random() < 0.5
    compare = COMPARE[operator]
    return (
        f"{name} {operator} {str(value).lower()}",
        lambda _, a: type(a.get(name)) is bool and compare(a[name], value),
    )


def _has(chance: random.Random) -> tuple[str, Predicate]:
    name, value = chance.choice([("tags", "new"), ("tags", "x y"), ("color", "red"), ("mixed", "5"), ("mixed", "a")])

    def matches(_: str, a: Attributes) -> bool:
        return value in a[name] if type(a.get(name)) is tuple else type(a.get(name)) is str and a[name] == value

    return f'{name}:"{value}"', matches


def _prefix(chance: random.Random) -> tuple[str, Predicate]:
    start = chance.choice(["re", "d", "new", ""])
    form = chance.choice(["color =", "color !=", "tags:"])
    if form == "tags:":
        return f'tags:"{start}*"', lambda _, a: any(t.startswith(start) for t in a.get("tags", ()))
    wanted = form.endswith(" =")
    return f'{form} "{start}*"', lambda _, a: "color" in a and a["color"].startswith(start) == wanted


def _there(chance: random.Random) -> tuple[str, Predicate]:
    name = chance.choice(["color", "price", "sale", "tags", "mixed", "nothing"])
    return f"{name}:*", lambda _, a: name in a


def _product(chance: random.Random) -> tuple[str, Predicate]:
    value = f"p{chance.randrange(60)}"
    return chance.choice([
        (f"product_id = {value}", lambda p, _: p == value),
        (f"product_id != {value}", lambda p, _: p not in ("", value)),
        ("product_id:*", lambda p, _: p != ""),
        ('product_id = "p1*"', lambda p, _: p.startswith("p1")),
    ])  # fmt: skip
