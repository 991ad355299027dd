"""Parameters of filters, against a substitution in the syntax tree."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import FilterSyntaxError, InvalidInput, ParameterValue, fill_filter, filter_parameters
from index.vectors.filters.syntax import Combination, Comparison, Has, Node, Text, parse_filter
from tests.support.data.filters import random_filter

VALUES = st.one_of(st.text(max_size=30), st.booleans(), st.floats(allow_nan=False, allow_infinity=False))
_LITERAL = re.compile(r'(?<=[=<>:] )"[^"*]*"(?=[ )]|$)|(?<=[=<>] )-?[0-9.]+(?=[ )]|$)|(?<=:)"[^"*]*"(?=[ )]|$)')


@given(VALUES)
def test_a_value_is_a_value_whatever_it_contains(value: ParameterValue) -> None:
    tree = parse_filter(fill_filter("brand = $b OR (NOT tags:$b)", {"b": value}))
    wanted = Text(value) if isinstance(value, str) else value
    assert isinstance(tree, Combination)
    assert tree.parts[0] == Comparison("brand", "=", wanted)
    (has,) = tree.parts[1].parts  # type: ignore[union-attr]
    assert has == Has("tags", wanted)


@pytest.mark.parametrize("seed", range(200))
def test_filling_in_the_text_is_filling_in_the_tree(seed: int) -> None:
    chance = random.Random(seed)
    text, _ = random_filter(chance)
    values: dict[str, ParameterValue] = {}

    def parameter(match: re.Match[str]) -> str:
        name = f"p{len(values)}"
        values[name] = match[0][1:-1] if match[0].startswith('"') else float(match[0])
        return f"${name}"

    template = _LITERAL.sub(parameter, text)
    assert filter_parameters(template) == values.keys()
    others = {
        name: chance.choice(['a" OR x = "', "*", "\\", 7.0]) if isinstance(v, str) else v for name, v in values.items()
    }
    assert parse_filter(fill_filter(template, values)) == parse_filter(text)
    assert _shape(parse_filter(fill_filter(template, others))) == _shape(parse_filter(text))  # type: ignore[arg-type]


def _shape(node: Node | None) -> object:
    """A tree without its values."""
    if isinstance(node, Combination):
        return node.operator, [_shape(part) for part in node.parts]
    assert node is not None
    return replace(node, value=True)


@pytest.mark.parametrize("text", ['name = "$b"', "name = '$b'", 'name = "a \\" $b"', "name = a$b", "price > 5"])
def test_what_is_in_a_text_or_within_a_word_is_no_parameter(text: str) -> None:
    assert filter_parameters(text) == frozenset()
    assert fill_filter(text, {"b": "x"}) == text


@pytest.mark.parametrize("text", ["price = $5", "name = $B", "name = $b*", "name = $", "name = $a.b"])
def test_a_word_with_a_dollar_that_names_nothing_is_refused_with_its_column(text: str) -> None:
    with pytest.raises(FilterSyntaxError) as refused:
        filter_parameters(text)
    assert refused.value.column == text.index("$") + 1


def test_a_parameter_without_a_value_and_a_number_that_is_none_are_refused() -> None:
    with pytest.raises(InvalidInput, match="needs a value of the parameter 'b'"):
        fill_filter("brand = $b", {})
    with pytest.raises(InvalidInput, match="finite"):
        fill_filter("price = $b", {"b": float("nan")})
