"""The grammar, the evaluation and the fields know the operators of one table and no others."""

import ast
import operator
import re
from pathlib import Path

import numpy as np
import pytest
from pyroaring import BitMap

from index.types.errors import FilterSyntaxError
from index.vectors.fields.columns import Columns
from index.vectors.fields.numeric_field import Numbers
from index.vectors.fields.operators import OPERATORS, Operator
from index.vectors.filters import syntax
from index.vectors.filters.evaluate import allowed_slots
from index.vectors.filters.syntax import Comparison, parse_filter
from tests.support.data.filters import COMPARE

ROOT = Path(__file__).parents[4]
VALUES = [1.0, 2.0, 2.0, 3.0]


def test_the_operators_are_those_that_the_documents_list() -> None:
    rows = [line.split("|")[1] for line in (ROOT / "docs/filters.md").read_text().splitlines() if line.startswith("|")]
    listed = {symbol for row in rows for symbol in re.findall(r"(?:name |^ ?`|, `)([!<>=]=?)", row)}
    assert listed == set(OPERATORS) == set(COMPARE)


@pytest.mark.parametrize("symbol", OPERATORS)
def test_an_operator_accepts_the_same_outcomes_of_values_and_of_sorted_ranges(symbol: str) -> None:
    row, compare = OPERATORS[symbol], COMPARE[symbol]
    assert (row.less, row.equal, row.greater) == (compare(1, 2), compare(2, 2), compare(3, 2))
    assert [row.compare(v, 2.0) for v in VALUES] == [compare(v, 2.0) for v in VALUES]
    inside = [n for start, stop in row.ranges(1, 3, 4) for n in range(start, stop)]
    assert inside == [n for n, v in enumerate(VALUES) if compare(v, 2.0)]
    assert row.needs_order is (symbol[0] in "<>")
    assert row.is_negation is (symbol == "!=")


@pytest.mark.parametrize("symbol", OPERATORS)
def test_the_grammar_takes_each_operator_of_the_table(symbol: str) -> None:
    assert parse_filter(f"price {symbol} 2") == Comparison("price", symbol, 2.0)
    assert parse_filter(f'name{symbol}"a"') == Comparison("name", symbol, syntax.Text("a"))


@pytest.mark.parametrize("symbol", ["==", "<>", "~", "=<", "=>", "!"])
def test_the_grammar_takes_no_operator_besides(symbol: str) -> None:
    with pytest.raises(FilterSyntaxError):
        parse_filter(f"price {symbol} 2")


def test_a_new_row_is_an_operator_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATORS, "~", Operator("~", operator.ne, less=True, greater=True))
    syntax._parser.cache_clear()
    parse_filter.cache_clear()
    try:
        columns = Columns()
        columns.extend(0, [{"price": v, "name": f"n{v:g}", "sale": v > 2} for v in VALUES])
        products, live = np.zeros(4, np.int32), BitMap(range(4))
        for text in ("price ~ 2", 'name ~ "n2"', 'name ~ "n2*"'):
            tree = parse_filter(text)
            assert tree is not None
            assert list(allowed_slots(tree, columns, products, live)) == [0, 3], text
        sale = parse_filter("sale ~ true")
        assert sale is not None
        assert list(allowed_slots(sale, columns, products, live)) == [0, 1, 2]
        numbers = Numbers(np.arange(4, dtype=np.uint32), np.array(VALUES))
        assert list(numbers.matching(OPERATORS["~"], 2.0)) == [0, 3]
    finally:
        syntax._parser.cache_clear()
        parse_filter.cache_clear()


def test_no_other_module_of_the_index_spells_an_ordering_operator() -> None:
    spelled = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "index").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in ("<", "<=", ">", ">=", "!=")
    }
    assert spelled == {"index/vectors/fields/operators.py"}
