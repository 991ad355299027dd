"""Options of searches: what is shown of them is what is typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterimage.client import Boost
from service.cli.output import CommandError, Exit
from service.cli.searches.search_options import (
    boost_text,
    parse_boosts,
    parse_emphasis,
    parse_parameters,
    parse_value,
)

NUMBERS = st.integers(-999_999, 999_999).map(lambda n: n / 1000)
NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
BY_NUMBER = st.builds(
    Boost, NUMBERS, attribute=NAMES, origin=NUMBERS, scale=NUMBERS, offset=NUMBERS,
    decay=st.sampled_from(["linear", "exponential", "gauss"]), side=st.sampled_from(["both", "more", "less"]),
)  # fmt: skip
FILTERS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).map(str.strip)
BY_FILTER = st.builds(Boost, NUMBERS, filter=FILTERS.filter(lambda f: f and f.count(":") < 3))


@given(st.one_of(BY_NUMBER, BY_FILTER))
def test_a_boost_reads_as_it_is_shown(boost: Boost) -> None:
    assert parse_boosts([boost_text(boost)]) == [boost]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.5",
        "0.5 ",
        "much brand = 1",
        "0.5 a:linear:x:1",
        "0.5 a:linear:1:y",
        "0.5 a:linear:1:2:up",
        "0.5 a:linear:1:2:3:4",
    ],
)
def test_what_is_no_boost_is_wrong_usage(text: str) -> None:
    with pytest.raises(CommandError, match="--boost") as refused:
        parse_boosts([text])
    assert refused.value.code == Exit.USAGE


@given(st.dictionaries(NAMES, NUMBERS))
def test_weights_read_as_name_and_number(weights: dict[str, float]) -> None:
    assert parse_emphasis([f"{name}={weight}" for name, weight in weights.items()]) == weights


@pytest.mark.parametrize("text", ["colour", "colour=", "colour=much", ""])
def test_what_is_no_weight_is_wrong_usage(text: str) -> None:
    with pytest.raises(CommandError, match="BLOCK=WEIGHT") as refused:
        parse_emphasis([text])
    assert refused.value.code == Exit.USAGE


def test_parameters_are_guessed_by_their_form_and_the_first_equals_sign_divides_them() -> None:
    found = parse_parameters(["a=1.5", "b=true", "c=false", "d=red", "e=x=y", "f=", "g=True"])
    assert found == {"a": 1.5, "b": True, "c": False, "d": "red", "e": "x=y", "f": "", "g": "True"}
    assert [type(found[n]) for n in "abc"] == [float, bool, bool]
    with pytest.raises(CommandError, match="NAME=VALUE"):
        parse_parameters(["brand"])


def test_a_value_has_the_type_that_it_is_declared_with() -> None:
    assert parse_value("17", "string") == "17"
    assert parse_value("true", "string") == "true"
    assert parse_value("17", "number") == 17.0
    assert parse_value("true", "boolean") is True
    for text, kind in (("true", "number"), ("17", "boolean"), ("red", "number"), ("", "boolean")):
        with pytest.raises(CommandError, match=f"is no {kind}"):
            parse_value(text, kind)
