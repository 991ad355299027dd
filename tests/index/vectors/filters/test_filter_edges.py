"""Filters over a plain table: random ones against their meaning, and hints at their edges."""

from __future__ import annotations

import random
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from pyroaring import BitMap

from index.types.record import Attributes
from index.vectors.fields.columns import Columns
from index.vectors.filters.evaluate import allowed_slots
from index.vectors.filters.hints import hints_of
from index.vectors.filters.syntax import Combination, Comparison, Has, Text, parse_filter
from tests.support.data.filters import COMPARE, random_attributes, random_filter


def table(rows: list[tuple[str, dict[str, Any]]]) -> tuple[Columns, Any]:
    """Columns, and the product code of each slot."""
    columns = Columns()
    columns.extend(0, [attributes for _, attributes in rows])
    return columns, np.array([columns.products.code(product) for product, _ in rows], np.int32)


def test_random_filters_allow_the_live_rows_that_they_mean() -> None:
    chance = random.Random(3)
    rows = [(chance.choice(["", *(f"p{n}" for n in range(20))]), random_attributes(chance)) for _ in range(120)]
    columns, products = table(rows)
    live = BitMap(range(120)) - BitMap(range(0, 120, 7))
    for _ in range(300):
        text, matches = random_filter(chance)
        tree = parse_filter(text)
        assert tree is not None
        expected = [slot for slot in live if matches(*rows[slot])]
        assert list(allowed_slots(tree, columns, products, live)) == expected, text


@pytest.mark.parametrize("symbol", [*COMPARE, ":"])
def test_each_comparison_looks_at_values_of_its_own_type(symbol: str) -> None:
    texts = ("l", "m", "mm", "n", "")
    rows = [("", {"x": value}) for value in (*texts, 4.0, 5.0, 6.0, True, False, ("m",), ("l", "n"), ("mm",), ())]
    columns, products = table(rows)
    live = BitMap(range(len(rows)))

    def allowed(literal: Any) -> list[Any]:
        node: Any = Has("x", literal) if symbol == ":" else Comparison("x", symbol, literal)
        return [rows[slot][1]["x"] for slot in allowed_slots(node, columns, products, live)]

    def wanted(literal: Any, kind: type) -> list[Any]:
        compare = COMPARE["=" if symbol == ":" else symbol]
        return [row["x"] for _, row in rows if type(row["x"]) is kind and compare(row["x"], literal)]

    lists = [row["x"] for _, row in rows if isinstance(row["x"], tuple)] if symbol == ":" else []
    for text in (*texts, "k"):
        assert allowed(Text(text)) == wanted(text, str) + [value for value in lists if text in value]
    for number in (3.0, 4.0, 5.0, 5.5):
        assert allowed(number) == wanted(number, float)
    if symbol in ("=", "!=", ":"):
        for truth in (True, False):
            assert allowed(truth) == wanted(truth, bool)
        for start in ("m", "", "k"):
            found = [value for value in texts if value.startswith(start) is (symbol != "!=")]
            assert allowed(Text(start, True)) == found + [v for v in lists if any(s.startswith(start) for s in v)]
    if symbol == ":":
        assert allowed(None) == [row["x"] for _, row in rows]


@pytest.mark.parametrize("symbol", [*COMPARE, ":"])
def test_product_ids_compare_as_texts(symbol: str) -> None:
    ids = ("", "p1", "p2", "q", "", "p1")
    columns, products = table([(product, {}) for product in ids])

    def allowed(literal: Any) -> list[int]:
        node: Any = Has("product_id", literal) if symbol == ":" else Comparison("product_id", symbol, literal)
        return list(allowed_slots(node, columns, products, BitMap(range(1, 6))))

    compare = COMPARE["=" if symbol == ":" else symbol]
    for value in ("p1", "p2", "q", "x", "p"):
        assert allowed(Text(value)) == [n for n in range(1, 6) if ids[n] and compare(ids[n], value)]
    if symbol in ("=", "!=", ":"):
        for start in ("p", "q", "x"):
            wanted = [n for n in range(1, 6) if ids[n] and ids[n].startswith(start) is (symbol != "!=")]
            assert allowed(Text(start, True)) == wanted
    assert allowed(1.0) == allowed(True) == []
    if symbol == ":":
        assert allowed(None) == [1, 2, 3, 5]


def test_several_parts_and_one_are_combined() -> None:
    columns, products = table([("", {"x": float(n)}) for n in range(8)])
    live = BitMap(range(1, 8))

    def allowed(operator: str, *parts: Any) -> list[int]:
        return list(allowed_slots(Combination(operator, parts, 2, len(parts)), columns, products, live))

    small, odd, large = Comparison("x", "<", 5.0), Comparison("x", "!=", 4.0), Comparison("x", ">", 2.0)
    assert allowed("AND", small, odd, large) == [3]
    assert allowed("OR", Comparison("x", "=", 0.0), Comparison("x", "=", 7.0), Comparison("x", "=", 2.0)) == [2, 7]
    assert allowed("AND", small) == allowed("OR", small) == [1, 2, 3, 4]
    assert allowed("NOT", small) == [5, 6, 7]


def test_a_filter_that_is_asked_again_is_not_parsed_again() -> None:
    assert parse_filter("asked = again") is parse_filter("asked = again")
    assert parse_filter.cache_info().maxsize == 256
    assert parse_filter("a = 1") == Comparison("a", "=", 1.0, 1, 1)
    assert parse_filter("a:1") == Has("a", 1.0, 1, 1)
    assert parse_filter("a:*") == Has("a", None)
    assert parse_filter("a = 'x'") == Comparison("a", "=", Text("x", False))


# ---- hints


def hints(rows: list[Attributes], text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    columns = Columns()
    columns.extend(0, rows)
    tree = parse_filter(text)
    assert tree is not None
    found = hints_of(tree, columns, BitMap(range(len(rows))))
    return found.unknown_attributes, found.sentences


def test_unknown_names_come_in_the_order_of_the_filter() -> None:
    text = "(a1 = 1 OR NOT (b2:* AND c3 > 1)) AND d4 = 1 AND (e5 = 1 OR f6 = 2) AND a1 = 3"
    assert hints([{"zzzz": "x"}], text)[0] == ("a1", "b2", "c3", "d4", "e5", "f6")


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
def test_at_most_sixteen_hints_are_given(count: int) -> None:
    names = [f"zq{n:02}" for n in range(count)]
    unknown, sentences = hints([{"color": "x"}], " OR ".join(f"{name} = 1" for name in names))
    assert unknown == tuple(names[:16])
    assert len(sentences) == min(count, 16)
    text = " OR ".join(f"color = {n}" for n in range(count))
    told = tuple(f"`color` holds texts, never what {n} is" for n in range(min(count, 16)))
    assert hints([{"color": "x"}], text) == ((), told)


def test_a_name_is_proposed_that_is_alike() -> None:
    rows: list[Attributes] = [{"color": "x", "colors": "x", "weight": 1.0}]
    assert hints(rows, "colour = x")[1] == ("no record has `colour`; did you mean `color`?",)
    assert hints(rows, "colorss = x")[1] == ("no record has `colorss`; did you mean `colors`?",)
    assert hints(rows, "product = x")[1] == ("no record has `product`; did you mean `product_id`?",)
    assert hints([{"abcde": "x"}], "abcxy = x")[1] == ("no record has `abcxy`; did you mean `abcde`?",)  # 0.6 alike
    assert hints([{"abcde": "x"}], "abxyz = x")[1] == ("no record has `abxyz`",)
    assert hints([{"abcdefghijk": "x"}], "abcdefzzzzzz = x")[1] == ("no record has `abcdefzzzzzz`",)


LISTS = "`x` holds lists, which `=` does not look into; write `x:{}`"


@pytest.mark.parametrize(
    ("values", "text", "said"),
    [
        ([("a",)], "x = a", LISTS.format('"a"')),
        ([("a",)], "x = 'a*'", LISTS.format('"a*"')),
        ([("a",)], r'x = "a\"b\\c\*"', LISTS.format(r'"a\"b\\c\*"')),
        ([("a",)], "x < a", '`x` holds lists, which `<` does not look into; write `x:"a"`'),
        ([("a",)], "x != a", '`x` holds lists, which `!=` does not look into; write `NOT x:"a"`'),
        ([("a",)], "x = true", "`x` holds lists, never what true is"),
        ([("a",)], "x:1.5", "`x` holds lists, never what 1.5 is"),
        ([("a",)], "x:a", ""),
        ([("a",), 1.0], "x = a", '`x` holds lists or numbers, never what "a" is'),
        ([("a",), 1.0], "x:a", ""),
        ([("a",), "a"], "x = a", ""),
        (["a", 1.0], "x = false", "`x` holds numbers or texts, never what false is"),
        (["a", True], "x = 1e9", "`x` holds texts or true or false, never what 1e+09 is"),
        ([True], "x = b", '`x` holds true or false, never what "b" is'),
        ([1.0], "x:b", '`x` holds numbers, never what "b" is'),
        ([1.0], "x:*", ""),
        ([1.0], "x = 2", ""),
        ([True], "x != false", ""),
    ],
)
def test_a_value_of_a_type_that_no_record_has_is_explained(values: list[Any], text: str, said: str) -> None:
    rows: list[Attributes] = [{"x": value} for value in values]
    assert hints(rows, text) == ((), (said,) if said else ())
    assert hints(rows, f"{text} OR product_id = 1 OR {text}") == ((), (said,) if said else ())


def test_trees_are_shared_by_all_searches_and_never_change() -> None:
    tree = parse_filter("a = x AND b:y")
    assert isinstance(tree, Combination)
    for node in (tree, *tree.parts, Text("x")):
        for name in vars(node):
            with pytest.raises(FrozenInstanceError):
                setattr(node, name, 1)
        assert hash(node) == hash(node)
