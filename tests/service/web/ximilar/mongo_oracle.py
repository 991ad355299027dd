"""Random filters in MongoDB's syntax and what they mean, written from MongoDB's manual and not from the compiler."""

from __future__ import annotations

import operator
import random
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Document = Mapping[str, Any]
TEXTS = ("red", "re", 'a "q" \\ b', "a*b", "*", "AND", "true", "5", "", "dark\nred", "größe", "it's")
NUMBERS = (0, 5, -2.5, 1e22, 0.1, 42)
_ABSENT = object()
_ORDER = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
SCALARS = st.sampled_from([*TEXTS, *NUMBERS, True, False])
FIELDS = st.sampled_from(
    ["color", "Meta-Category X", "price", "sale", "tags", "size.eu", "mixed", "_odd", "9lives", "true", "nowhere"]
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A record's metadata: all types, some absent, nested and with odd names."""
    lists = st.lists(st.sampled_from(TEXTS), max_size=3, unique=True)
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "color": st.sampled_from(TEXTS), "Meta-Category X": SCALARS, "price": st.sampled_from(NUMBERS),
        "sale": st.booleans(), "tags": lists, "mixed": st.one_of(SCALARS, lists), "_odd": SCALARS, "9lives": SCALARS,
        "true": SCALARS, "product_id": st.sampled_from(["p1", "p2", 7]),
    }  # fmt: skip
    found = {name: draw(kind) for name, kind in kinds.items() if draw(st.booleans())}
    if draw(st.booleans()):
        found["size"] = {"eu": draw(st.sampled_from(NUMBERS))}
    return found


def sample_documents(seed: int, number: int) -> list[dict[str, Any]]:
    """Documents that are the same in each run."""
    found: list[dict[str, Any]] = []

    @settings(max_examples=number, database=None, suppress_health_check=list(HealthCheck))
    @given(documents())
    def note(document: dict[str, Any]) -> None:
        found.append(document)

    note()
    return random.Random(seed).sample(found, min(number, len(found)))


def _members(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=3)


_NULLABLE = st.one_of(SCALARS, st.none())
_OPERATIONS = st.one_of(
    st.builds(lambda n, v: {n: v}, st.sampled_from(["$eq", "$ne"]), _NULLABLE),
    st.builds(lambda n, v: {n: v}, st.sampled_from(["$in", "$nin"]), _members(_NULLABLE)),
    st.builds(lambda v: {"$all": v}, _members(SCALARS)),
    st.builds(lambda n, v: {n: v}, st.sampled_from(list(_ORDER)), st.sampled_from([*TEXTS, *NUMBERS])),
    st.builds(lambda v: {"$exists": v}, st.booleans()),
    st.sampled_from(["^re", "^", r"^a\*", '^a "', r"^it's", "^größ"]).map(lambda v: {"$regex": v}),
)
_ON_FIELDS = st.one_of(
    _OPERATIONS,
    st.builds(lambda a, b: {**a, **b}, _OPERATIONS, _OPERATIONS),
    _OPERATIONS.map(lambda v: {"$not": v}),
    _NULLABLE,
)
_SIMPLE = st.one_of(
    st.dictionaries(FIELDS, _ON_FIELDS, min_size=1, max_size=2),
    st.sampled_from(["p1", "7", 7, None, {"$ne": "p1"}, {"$exists": True}]).map(lambda v: {"product_id": v}),
)
FILTERS = st.recursive(
    _SIMPLE,
    lambda inner: st.builds(
        lambda n, v: {n: v}, st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


def matches(given: Mapping[str, Any], document: Document) -> bool:
    """Whether a document matches a filter."""
    return all(_member(name, value, document) for name, value in given.items())


def _member(name: str, value: Any, document: Document) -> bool:
    if name in ("$and", "$or", "$nor"):
        found = [matches(v, document) for v in value]
        return {"$and": all(found), "$or": any(found), "$nor": not any(found)}[name]
    held = _value(document, name)
    if name == "product_id" and type(held) is int:
        held = str(held)
    if type(value) is dict:
        return all(_operation(n, v, held, is_product=name == "product_id") for n, v in value.items())
    return _equal(held, str(value) if name == "product_id" and type(value) is int else value)


def _operation(name: str, operand: Any, held: Any, *, is_product: bool) -> bool:
    if name in _ORDER:
        alike = _kind(held) == _kind(operand) and type(held) is not bool
        return alike and bool(_ORDER[name](held, operand))
    if name == "$not":
        return not all(_operation(n, v, held, is_product=is_product) for n, v in operand.items())
    if name == "$regex":
        start = operand[1:].replace("\\", "")
        return any(type(v) is str and v.startswith(start) for v in (held if type(held) is list else [held]))
    return {
        "$eq": lambda: _equal(held, operand), "$ne": lambda: not _equal(held, operand),
        "$in": lambda: any(_equal(held, v) for v in operand), "$nin": lambda: not any(_equal(held, v) for v in operand),
        "$all": lambda: all(_equal(held, v) for v in operand), "$exists": lambda: (held is not _ABSENT) is operand,
    }[name]()  # fmt: skip


def _value(document: Document, name: str) -> Any:
    found: Any = document
    for part in name.split("."):
        found = found.get(part, _ABSENT) if isinstance(found, Mapping) else _ABSENT
    return found


def _equal(held: Any, wanted: Any) -> bool:
    if wanted is None:
        return held is _ABSENT
    values = held if type(held) is list else [held]
    return any(_kind(v) == _kind(wanted) and v == wanted for v in values)


def _kind(value: Any) -> str:
    return "number" if type(value) in (int, float) else type(value).__name__
