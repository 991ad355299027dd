"""Places of a module where a mutant says nothing about its tests, so that none is made there."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator

Position = tuple[int, int]
Span = tuple[Position, Position]

_OPENS = {"(", "[", "{", ","}
_BESIDE = {tokenize.NL, tokenize.COMMENT, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def unused_spans(source: str) -> list[Span]:
    """Returns begins and ends as (line, column): annotations, which nothing evaluates, and stars that are no operator,
    as in `def f(a, *, b)` and `f(*a)`, where a slash is no division."""
    return [*_annotations(source), *_stars(source)]


def _annotations(source: str) -> Iterator[Span]:
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            if isinstance(found := getattr(node, name, None), ast.expr):
                yield (found.lineno, found.col_offset), (found.end_lineno or 0, found.end_col_offset or 0)


def _stars(source: str) -> Iterator[Span]:
    before = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in _BESIDE:
            continue
        if token.string in ("*", "**") and before in _OPENS:
            yield token.start, token.end
        before = token.string
