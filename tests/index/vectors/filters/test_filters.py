from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from index.types.errors import FilterSyntaxError, InvalidInput
from index.types.record import Attributes
from index.vectors.fields.columns import Columns
from index.vectors.filters.evaluate import allowed_slots
from index.vectors.filters.syntax import (
    MAX_DEPTH,
    MAX_FILTER_BYTES,
    MAX_RESTRICTIONS,
    Comparison,
    Text,
    filter_fields,
    parse_filter,
)
from tests.support.data.filters import COMPARE

ROWS: list[Attributes] = [
    {"color": "red", "price": 10.0, "tags": ("new", "outlet"), "stock": True},
    {"color": "blue", "price": 20.0, "tags": ("new",), "stock": False},
    {"color": "dark red", "price": 30.5},
    {"price": -5.0, "name": 'say "hi"'},
    {"color": "red", "size": "42"},
    {},
]
PRODUCTS = ["p1", "p1", "p2", "", "q1", ""]


def matching(text: str) -> list[int]:
    columns, codes = Columns(), []
    for slot, (attributes, product) in enumerate(zip(ROWS, PRODUCTS, strict=True)):
        columns.extend(slot, [attributes])
        codes.append(columns.products.code(product))
    live = BitMap(range(len(ROWS)))
    tree = parse_filter(text)
    return list(live if tree is None else allowed_slots(tree, columns, np.array(codes, np.int32), live))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("  ", [0, 1, 2, 3, 4, 5]),
        ('color = "red"', [0, 4]),
        ("color = red", [0, 4]),
        ("color = 'dark red'", [2]),
        ('color != "red"', [1, 2]),
        ('NOT color = "red"', [1, 2, 3, 5]),
        ('-color = "red"', [1, 2, 3, 5]),
        ('color = "r*"', [0, 4]),
        ("color = r*", [0, 4]),
        (r'color = "r\*"', []),
        ('color > "c"', [0, 2, 4]),
        ("price < 20", [0, 3]),
        ("price <= 20", [0, 1, 3]),
        ("price = 30.5", [2]),
        ("price >= -5 AND price < 1e1", [3]),
        ('price = "10"', []),
        ("size = 42", []),
        ('size = "42"', [4]),
        ("stock = true", [0]),
        ("stock != true", [1]),
        ("stock = false", [1]),
        ('tags:"outlet"', [0]),
        ("tags:new", [0, 1]),
        ("tags:n*", [0, 1]),
        ('tags = "new"', []),
        ("tags:*", [0, 1]),
        ("color:*", [0, 1, 2, 4]),
        ("NOT color:*", [3, 5]),
        ("color:red", [0, 4]),
        ('name = "say \\"hi\\""', [3]),
        ('color = "red" AND price < 50 AND NOT tags:"outlet"', []),
        ('(color = "red" OR color = "blue") AND price > 5', [0, 1]),
        ("missing = 1", []),
        ("NOT missing = 1", [0, 1, 2, 3, 4, 5]),
        ("product_id = p1", [0, 1]),
        ('product_id = "p*"', [0, 1, 2]),
        ("product_id:*", [0, 1, 2, 4]),
        ("NOT product_id:*", [3, 5]),
        ("product_id != p1", [2, 4]),
    ],
)
def test_a_filter_allows_exactly_these_rows(text: str, expected: list[int]) -> None:
    assert matching(text) == expected


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("price <", 8),
        ("price 5", 7),
        ("= 5", 1),
        ("price == 5", 8),
        ("a = 1 AND", 10),
        ("a = 1 AND b = 2 OR c = 3", 17),
        ("(a = 1", 7),
        ("a = 1)", 6),
        ("a = 'x", 5),
        ("price < true", 7),
        ("price < x*", 7),
        ("UPPER = 1", 1),
        ("a = 1 b = 2", 7),
    ],
)
def test_a_filter_that_does_not_parse_says_where(text: str, column: int) -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        parse_filter(text)
    assert caught.value.column == column
    assert f"column {column}" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["(" * 3000 + "a = 1" + ")" * 3000, "NOT " * 2000 + "a = 1", " OR ".join(["a = 1"] * 300), "a = " + "x" * 9000],
)
def test_a_filter_that_is_too_large_is_refused(text: str) -> None:
    if text.startswith("("):  # parentheses alone add no depth to the tree
        assert parse_filter(text[2990:-2990]) is not None
        return
    with pytest.raises(FilterSyntaxError):
        parse_filter(text)


def test_record_ids_cannot_be_filtered_on() -> None:
    with pytest.raises(InvalidInput):
        matching("record_id = x")


values = st.one_of(st.integers(-3, 3).map(float), st.sampled_from(["a", "b", "ab"]), st.booleans())
rows = st.lists(st.dictionaries(st.sampled_from(["x", "y"]), values, max_size=2), max_size=12)
comparison = st.tuples(st.sampled_from(["x", "y"]), st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), values)
trees = st.recursive(
    comparison,
    lambda inner: st.one_of(st.tuples(st.just("NOT"), inner), st.tuples(st.sampled_from(["AND", "OR"]), inner, inner)),
    max_leaves=6,
)


def as_text(tree: tuple[Any, ...]) -> str:
    if tree[0] == "NOT":
        return f"NOT ({as_text(tree[1])})"
    if tree[0] in ("AND", "OR"):
        return f"({as_text(tree[1])}) {tree[0]} ({as_text(tree[2])})"
    name, symbol, value = tree
    literal = str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)
    return f"{name} {symbol} {literal}"


def holds(tree: tuple[Any, ...], row: dict[str, Any]) -> bool:
    if tree[0] == "NOT":
        return not holds(tree[1], row)
    if tree[0] in ("AND", "OR"):
        return (all if tree[0] == "AND" else any)(holds(part, row) for part in tree[1:])
    name, symbol, value = tree
    if type(row.get(name)) is not type(value):
        return False
    return COMPARE[symbol](row[name], value)


def orders_booleans(tree: tuple[Any, ...]) -> bool:
    if tree[0] in ("NOT", "AND", "OR"):
        return any(orders_booleans(part) for part in tree[1:])
    return isinstance(tree[2], bool) and tree[1] not in ("=", "!=")


@settings(max_examples=300)
@given(rows, trees)
def test_any_filter_agrees_with_a_row_by_row_evaluation(table: list[dict[str, Any]], tree: tuple[Any, ...]) -> None:
    if orders_booleans(tree):
        return
    columns = Columns()
    for slot, row in enumerate(table):
        columns.extend(slot, [row])
    live = BitMap(range(len(table)))
    parsed = parse_filter(as_text(tree))
    assert parsed is not None
    found = allowed_slots(parsed, columns, np.zeros(len(table), np.int32), live)
    assert list(found) == [slot for slot, row in enumerate(table) if holds(tree, row)]


def depth_and_size(text: str) -> tuple[int, int]:
    tree = parse_filter(text)
    assert tree is not None
    return tree.depth, tree.size


@pytest.mark.parametrize(
    ("text", "depth", "size"),
    [
        ("a = 1", 1, 1),
        ("a:*", 1, 1),
        ("NOT a = 1", 2, 1),
        ("a = 1 AND b = 2 AND c:3", 2, 3),
        ("a = 1 OR NOT b = 2", 3, 2),
        ("(a = 1 OR b = 2) AND NOT (c = 3 AND d = 4)", 4, 4),
    ],
)
def test_a_tree_knows_how_deep_and_how_large_it_is(text: str, depth: int, size: int) -> None:
    assert depth_and_size(text) == (depth, size)


def refusal(text: str) -> tuple[str, int]:
    with pytest.raises(FilterSyntaxError) as caught:
        parse_filter(text)
    return str(caught.value), caught.value.column


def test_the_largest_filters_are_taken_and_larger_ones_are_refused_with_their_limit() -> None:
    assert depth_and_size("NOT " * 31 + "a = 1")[0] == MAX_DEPTH == 32
    message, column = refusal("NOT " * 32 + "a = 1")
    assert ("deeper than 32" in message, column) == (True, 1)
    assert depth_and_size(" OR ".join(["a = 1"] * 256))[1] == MAX_RESTRICTIONS == 256
    message, column = refusal(" OR ".join(["a = 1"] * 257))
    assert ("more than 256" in message, column) == (True, 1)
    longest = "a = " + "x" * (MAX_FILTER_BYTES - 4)
    assert parse_filter(longest) == Comparison("a", "=", Text("x" * 8188))
    message, column = refusal(longest + "x")
    assert ("longer than 8192" in message, column) == (True, 8193)
    assert refusal("a = " + "\u00e9" * 4095)[1] == 8193  # bytes are counted


def test_a_syntax_error_quotes_the_text_at_its_column() -> None:
    assert "unexpected end" in refusal("price <")[0]
    assert "need parentheses" in refusal("a = 1 AND b = 2 OR c = 3")[0]
    assert "need parentheses" in refusal("a = 1 OR b = 2 AND c = 3")[0]
    assert f"'{'y' * 40}' is not allowed here" in refusal(f"x = 1 {'y' * 50}")[0]
    assert "'UPPER' is not allowed here" in refusal("UPPER = 1")[0]


def test_the_fields_of_a_filter_are_its_names_and_a_filter_that_does_not_parse_has_none() -> None:
    assert filter_fields("(a = 1 OR b:x) AND NOT a > 2") == {"a", "b"}
    assert filter_fields("") == filter_fields("a =") == frozenset()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"a*"', Text("a", True)),
        (r'"a\*"', Text("a*")),
        (r'"a\\*"', Text("a\\", True)),
        (r'"\*"', Text("*")),
        ('"*"', Text("", True)),
        ('""', Text("")),
        (r'"a\"b"', Text('a"b')),
        ("a*", Text("a", True)),
        ("-1.5e1", -15.0),
        ("true", True),
        ("false", False),
    ],
)
def test_a_literal_is_the_value_that_it_writes(text: str, value: Text | float | bool) -> None:
    assert parse_filter(f"x = {text}") == Comparison("x", "=", value)


def test_dead_rows_and_other_types_are_in_no_answer() -> None:
    columns = Columns()
    columns.extend(0, [{"a": "x", "n": 1.0, "l": ("x",), "b": True}] * 3)
    products = np.array([columns.products.code("p")] * 3, np.int32)
    for text in ("a = x", "a != y", "n < 2", "n:1", "l:x", "l:x*", "a:x", "b = true", "b:true", "a:*", "product_id = p",
                 "product_id:*", "product_id:p*", "NOT a = y", "NOT missing:*"):  # fmt: skip
        tree = parse_filter(text)
        assert tree is not None
        assert list(allowed_slots(tree, columns, products, BitMap([1]))) == [1], text
    for text in ("product_id = 1", "product_id:true", "b:false", "n:2", "a:1", "l:y", "l:true", "b:x*"):
        tree = parse_filter(text)
        assert tree is not None
        assert list(allowed_slots(tree, columns, products, BitMap([0, 1, 2]))) == [], text
