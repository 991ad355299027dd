"""From filter text to a tree of frozen nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken, VisitError

from index.types.errors import FilterSyntaxError
from index.vectors.fields.operators import OPERATORS

MAX_FILTER_BYTES = 8192
MAX_DEPTH = 32
MAX_RESTRICTIONS = 256
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Text:
    """A string literal. `prefix` where it ended in an unescaped `*`."""

    value: str
    prefix: bool = False


@dataclass(frozen=True)
class Comparison:
    """`name operator value`, where operator is a symbol of OPERATORS."""

    name: str
    operator: str
    value: Text | float | bool
    depth: int = 1
    size: int = 1


@dataclass(frozen=True)
class Has:
    """`name:value`, or `name:*` where `value` is None."""

    name: str
    value: Text | float | bool | None
    depth: int = 1
    size: int = 1


@dataclass(frozen=True)
class Combination:
    """All (`AND`), or any (`OR`), of the parts; with `NOT`, the one part does not hold."""

    operator: str
    parts: tuple[Node, ...]
    depth: int
    size: int


Node = Comparison | Has | Combination


def filter_fields(text: str) -> frozenset[str]:
    """Names of the fields that a filter is about; none where it does not parse."""
    try:
        tree = parse_filter(text)
    except FilterSyntaxError:
        return frozenset()
    return frozenset(_fields(tree)) if tree is not None else frozenset()


def _fields(node: Node) -> Iterator[str]:
    if isinstance(node, Combination):
        for part in node.parts:
            yield from _fields(part)
    else:
        yield node.name


@lru_cache(maxsize=256)
def parse_filter(text: str) -> Node | None:
    """The tree of a filter; None for a blank one, which allows everything.

    Raises FilterSyntaxError with the column, counted from 1, where the text does not parse or is too large.
    """
    if len(text.encode(errors="replace")) > MAX_FILTER_BYTES:
        raise FilterSyntaxError(f"the filter is longer than {MAX_FILTER_BYTES} bytes", MAX_FILTER_BYTES + 1)
    try:
        tree: Node | None = _parser().parse(text)  # type: ignore[assignment]
    except UnexpectedInput as error:
        raise FilterSyntaxError(_explain(error), _column(error, text)) from None
    except VisitError as error:
        raise error.orig_exc from None
    return tree


@cache
def _parser() -> Lark:
    symbols = sorted(OPERATORS, key=len, reverse=True)  # "<=" before "<"
    comparator = "COMPARATOR: " + " | ".join(f'"{symbol}"' for symbol in symbols)
    return Lark(
        Path(__file__).with_name("grammar.lark").read_text() + comparator + "\n",
        parser="lalr",
        lexer="contextual",
        transformer=_ToNodes(),
        maybe_placeholders=True,
    )


class _ToNodes(Transformer[Any, Any]):
    """Runs while the parser does, bottom up, so that no depth of nesting recurses."""

    def start(self, children: list[Any]) -> Any:
        (tree,) = children
        return tree

    def restriction(self, children: list[Any]) -> Node:
        name, operator, value = children
        if isinstance(value, bool) and OPERATORS[operator].needs_order:
            raise FilterSyntaxError(f"{operator} does not compare true and false", operator.column)
        if isinstance(value, Text) and value.prefix and OPERATORS[operator].needs_order:
            raise FilterSyntaxError(f"{operator} does not take a prefix", operator.column)
        return Comparison(str(name), str(operator), value)

    def has(self, children: list[Any]) -> Node:
        name, value = children
        return Has(str(name), None if isinstance(value, Token) else value)

    def negation(self, children: list[Any]) -> Node:
        return _combine("NOT", children)

    def conjunction(self, children: list[Any]) -> Node:
        return _combine("AND", children)

    def disjunction(self, children: list[Any]) -> Node:
        return _combine("OR", children)

    def string(self, children: list[Token]) -> Text:
        (token,) = children
        inner = token[1:-1]
        prefix = inner.endswith("*") and not re.search(r"(?:^|[^\\])(?:\\\\)*\\\*$", inner)
        return Text(_ESCAPE.sub(r"\1", inner[:-1] if prefix else inner), prefix)

    def word(self, children: list[Token]) -> Text:
        (token,) = children
        return Text(token.removesuffix("*"), token.endswith("*"))

    def number(self, children: list[Token]) -> float:
        (token,) = children
        return float(token)

    def true(self, _: list[Token]) -> bool:
        return True

    def false(self, _: list[Token]) -> bool:
        return False


def _combine(operator: str, parts: list[Node]) -> Combination:
    depth, size = 1 + max(p.depth for p in parts), sum(p.size for p in parts)
    if depth > MAX_DEPTH:
        raise FilterSyntaxError(f"the filter nests deeper than {MAX_DEPTH}", 1)
    if size > MAX_RESTRICTIONS:
        raise FilterSyntaxError(f"the filter has more than {MAX_RESTRICTIONS} conditions", 1)
    return Combination(operator, tuple(parts), depth, size)


def _column(error: UnexpectedInput, text: str) -> int:
    if isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END"):
        return len(text) + 1
    return (error.pos_in_stream or 0) + 1


def _explain(error: UnexpectedInput) -> str:
    if isinstance(error, UnexpectedToken):
        token = error.token
        if token.type == "$END":
            return "unexpected end of the filter"
        if token.type in ("_AND", "_OR"):
            return "AND and OR side by side need parentheses"
        return f"{str(token)[:40]!r} is not allowed here"
    if isinstance(error, UnexpectedCharacters):
        return f"{error.char!r} is not allowed here"
    return "the filter cannot be parsed"
