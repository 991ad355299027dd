"""What is odd about a filter: names that no record has, and values of another type than the records' own.

A filter is right or wrong only as to its form; one that can match nothing is no error. But a shop that writes `colour`
where its records say `color`, or `tags = "new"` of a list, wonders about the empty answer. So the answer says it.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from pyroaring import AbstractBitMap

from index.types.answer import FilterHints
from index.vectors.fields.columns import Columns
from index.vectors.fields.operators import OPERATORS
from index.vectors.filters.syntax import Combination, Comparison, Has, Node, Text

_FIELDS = frozenset({"product_id", "record_id"})
_LIKE = 0.6  # how alike a name must be that is proposed
_MOST = 16
_HOLDS = {"text": "texts", "number": "numbers", "truth": "true or false", "list": "lists"}


def hints_of(tree: Node, columns: Columns, live: AbstractBitMap) -> FilterHints:
    """What is odd about a filter, by the attributes that the live records have."""
    unknown: list[str] = []
    sentences: list[str] = []
    for node in _restrictions(tree):
        if node.name in _FIELDS:
            continue
        kinds = columns.kinds(node.name, live)
        if not kinds:
            if node.name not in unknown:
                unknown.append(node.name)
                sentences.append(_unknown(node.name, columns, live))
        elif (sentence := _of_another_type(node, kinds)) and sentence not in sentences:
            sentences.append(sentence)
    return FilterHints(tuple(unknown[:_MOST]), tuple(sentences[:_MOST]))


def _restrictions(node: Node) -> Iterator[Comparison | Has]:
    """In the order of the text. A filter nests no deeper than MAX_DEPTH."""
    if isinstance(node, Combination):
        for part in node.parts:
            yield from _restrictions(part)
    else:
        yield node


def _unknown(name: str, columns: Columns, live: AbstractBitMap) -> str:
    like = get_close_matches(name, sorted([*columns.names(live), "product_id"]), 1, _LIKE)
    return f"no record has `{name}`" + (f"; did you mean `{like[0]}`?" if like else "")


def _of_another_type(node: Comparison | Has, kinds: frozenset[str]) -> str:
    """Where no record's value has the type that the filter compares with; empty where one has."""
    if node.value is None:
        return ""
    kind = "text" if isinstance(node.value, Text) else "truth" if isinstance(node.value, bool) else "number"
    if kind in kinds or (kind == "text" and isinstance(node, Has) and "list" in kinds):
        return ""
    holds = " or ".join(_HOLDS[k] for k in sorted(kinds))
    written = _written(node.value)
    if kinds == {"list"} and isinstance(node, Comparison) and kind == "text":
        right = f"{node.name}:{written}"
        right = f"NOT {right}" if OPERATORS[node.operator].is_negation else right
        return f"`{node.name}` holds lists, which `{node.operator}` does not look into; write `{right}`"
    return f"`{node.name}` holds {holds}, never what {written} is"


def _written(value: Text | float | bool) -> str:
    """A literal as a filter has it."""
    if isinstance(value, Text):
        escaped = value.value.replace("\\", "\\\\").replace('"', '\\"').replace("*", "\\*")
        return f'"{escaped}{"*" if value.prefix else ""}"'
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
