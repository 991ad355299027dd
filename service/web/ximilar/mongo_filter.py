"""Filters in MongoDB's syntax, compiled to the filter language of docs/filters.md.

What cannot be said there is refused with the name of the operator. Values are never quoted in errors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from service.errors import Reason, ServiceError
from service.web.ximilar.names import ID, PRODUCT_ID, RESERVED, folded

_MOST_COMPARISONS = 256
_MOST_BYTES = 8192
_MOST_EXCLUDED = 1000
_PLAIN_PREFIX = re.compile(r"\^((?:[^\\^$.|?*+()\[\]{}]|\\[^A-Za-z0-9])*)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL = re.compile(r'["\\*]')


@dataclass(frozen=True)
class MongoFilter:
    """A compiled filter. text: in the filter language. excluded: ids of records that do not match."""

    text: str = ""
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Part:
    """A piece of a filter. joined: `AND` or `OR` between its operands; empty: it needs no parentheses."""

    text: str
    joined: str = ""

    def inside(self, joined: str) -> str:
        """As an operand."""
        return f"({self.text})" if self.joined not in ("", joined) else self.text


def compile_filter(given: Any) -> MongoFilter:
    """None and `{}` match everything. Raises ServiceError (FILTER_INVALID)."""
    if given is None or given == {}:
        return MongoFilter()
    compiler = _Compiler()
    part = compiler.all_of(_object(given, "a filter"), top=True)
    text = part.text if part is not None else ""
    if len(text.encode()) > _MOST_BYTES:
        raise _invalid(f"the filter is longer than {_MOST_BYTES} bytes")
    return MongoFilter(text, tuple(dict.fromkeys(compiler.excluded)))


class _Compiler:
    """Of one filter. Raises ServiceError (FILTER_INVALID)."""

    def __init__(self) -> None:
        self.excluded: list[str] = []
        self._comparisons = 0

    def all_of(self, given: dict[str, Any], *, top: bool = False) -> _Part | None:
        """An object, all of whose members must match. None: it only excludes records by id."""
        if not given:
            raise _invalid("an empty object inside a filter")
        return _joined("AND", [p for name, value in given.items() for p in self._member(name, value, top=top)])

    def _member(self, name: str, value: Any, *, top: bool) -> list[_Part]:
        if name in _LOGICAL:
            return self._logical(name, value, top=top)
        if name.startswith("$"):
            raise _unknown(name)
        if name == ID:
            self._exclude(value, top=top)
            return []
        if name in RESERVED:
            raise _invalid(f"{name} cannot be filtered on")
        return self._field(_Field(name), value)

    def _logical(self, name: str, value: Any, *, top: bool) -> list[_Part]:
        if type(value) is not list or not value:
            raise _invalid(f"{name} takes a list of filters that is not empty")
        inner = top and name == "$and"
        found = [self.all_of(_object(v, f"a member of {name}"), top=inner) for v in value]
        parts = [part for part in found if part is not None]
        if name == "$nor":
            return [_negated(_must(_joined("OR", parts)))]
        joined = _joined(_LOGICAL[name], parts)
        return [joined] if joined is not None else []

    def _field(self, field: _Field, value: Any) -> list[_Part]:
        if type(value) is not dict:
            return [self._equal(field, value, "$eq")]
        if not value or not all(key.startswith("$") for key in value):
            raise _invalid(f"{field.shown} is compared with an object; use operators such as $eq, or a dotted name")
        return [self._operator(field, name, operand, value) for name, operand in value.items()]

    def _operator(self, field: _Field, name: str, operand: Any, beside: dict[str, Any]) -> _Part:
        if name in _ORDER:
            return self._ordered(field, name, operand)
        if name in _BY_NAME:
            return _BY_NAME[name](self, field, operand)
        if name == "$options" and "$regex" in beside:
            raise _invalid("$options of $regex is not supported")
        raise _unknown(name)

    def _equal(self, field: _Field, value: Any, operator: str) -> _Part:
        self._count()
        if value is None:
            return _Part(f"NOT {field.name}:*")
        if type(value) is bool and not field.is_product:
            return _Part(f"{field.name} = {str(value).lower()}")
        if type(value) in (int, float) and not field.is_product:
            return _Part(f"{field.name} = {_number(value)}")
        return _Part(f"{field.name}:{_text(field.text(value, operator))}")

    def _ordered(self, field: _Field, name: str, value: Any) -> _Part:
        self._count()
        if type(value) in (int, float) and not field.is_product:
            return _Part(f"{field.name} {_ORDER[name]} {_number(value)}")
        return _Part(f"{field.name} {_ORDER[name]} {_text(field.text(value, name))}")

    def _differs(self, field: _Field, value: Any) -> _Part:
        return _negated(self._equal(field, value, "$ne"))

    def _one_of(self, field: _Field, values: Any, operator: str = "$in") -> _Part:
        return _must(_joined("OR", [self._equal(field, v, operator) for v in _list(values, operator)]))

    def _none_of(self, field: _Field, values: Any) -> _Part:
        return _negated(self._one_of(field, values, "$nin"))

    def _every(self, field: _Field, values: Any) -> _Part:
        return _must(_joined("AND", [self._equal(field, v, "$all") for v in _list(values, "$all")]))

    def _exists(self, field: _Field, value: Any) -> _Part:
        self._count()
        if type(value) is not bool and value not in (0, 1):
            raise _invalid("$exists takes true or false")
        return _Part(f"{'' if value else 'NOT '}{field.name}:*")

    def _negation(self, field: _Field, value: Any) -> _Part:
        given = _object(value, "$not of a field")
        return _negated(_must(_joined("AND", self._field(field, given))))

    def _pattern(self, field: _Field, value: Any) -> _Part:
        self._count()
        found = _PLAIN_PREFIX.fullmatch(value) if type(value) is str else None
        if found is None:
            raise _invalid("$regex takes only the start of a text, such as ^abc")
        start = _ESCAPED.sub(r"\1", found[1])
        return _Part(f"{field.name}:{_text(start, prefix=True)}")

    def _exclude(self, value: Any, *, top: bool) -> None:
        given = value if type(value) is dict else {}
        if not top or not given or not given.keys() <= {"$ne", "$nin"}:
            raise _invalid("_id takes only $ne and $nin, at the top of a filter")
        for name, operand in given.items():
            ids = [operand] if name == "$ne" else _list(operand, name)
            if any(type(i) not in (str, int) for i in ids):
                raise _invalid(f"{name} of _id takes texts")
            self.excluded += map(str, ids)
        if len(self.excluded) > _MOST_EXCLUDED:
            raise _invalid(f"more than {_MOST_EXCLUDED} ids are excluded")

    def _count(self) -> None:
        self._comparisons += 1
        if self._comparisons > _MOST_COMPARISONS:
            raise _invalid(f"the filter has more than {_MOST_COMPARISONS} comparisons")


class _Field:
    """A field that is compared. name: in the filter language. shown: in errors."""

    def __init__(self, name: str) -> None:
        self.is_product = name == PRODUCT_ID
        self.name, self.shown = name if self.is_product else folded(name), name[:80]

    def text(self, value: Any, operator: str) -> str:
        """A value that must be a text. Product ids are texts, whatever they were sent as."""
        if self.is_product and type(value) in (int, float):
            return str(value)
        if type(value) is not str:
            raise _invalid(f"{operator} of {self.shown} does not take this type of value")
        return value


_LOGICAL = {"$and": "AND", "$or": "OR", "$nor": "OR"}
_ORDER = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_BY_NAME: dict[str, Callable[[_Compiler, _Field, Any], _Part]] = {
    "$eq": lambda c, f, v: c._equal(f, v, "$eq"), "$ne": _Compiler._differs, "$in": _Compiler._one_of,
    "$nin": _Compiler._none_of, "$all": _Compiler._every, "$exists": _Compiler._exists,
    "$not": _Compiler._negation, "$regex": _Compiler._pattern,
}  # fmt: skip


def _joined(joined: str, parts: Iterable[_Part]) -> _Part | None:
    found = list(parts)
    if len(found) < 2:
        return found[0] if found else None
    return _Part(f" {joined} ".join(part.inside(joined) for part in found), joined)


def _must(part: _Part | None) -> _Part:
    """A part that is there: only conditions on ids at the top have none."""
    assert part is not None
    return part


def _negated(part: _Part) -> _Part:
    return _Part(f"NOT ({part.text})")


def _text(value: str, *, prefix: bool = False) -> str:
    escaped = _SPECIAL.sub(r"\\\g<0>", value)
    return f'"{escaped}{"*" if prefix else ""}"'


def _number(value: float) -> str:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _invalid("a number is not finite")
    return repr(number)


def _list(values: Any, operator: str) -> list[Any]:
    if type(values) is not list or not values:
        raise _invalid(f"{operator} takes a list that is not empty")
    return values


def _object(value: Any, what: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise _invalid(f"{what} must be an object")
    return value


def _unknown(operator: str) -> ServiceError:
    return _invalid(f"the operator {operator[:40]} is not supported")


def _invalid(problem: str) -> ServiceError:
    return ServiceError(Reason.FILTER_INVALID, f"filter: {problem}", field="filter")
