"""The list of what a span may contain."""

import pytest

from service.errors import Reason
from service.tracing.allowed import AllowList, Attribute, Door, Stage, Work

ALLOWED = AllowList(["/afterimage.v1.SearchService/Search"], ["exact"], ["succeeded"], ["f" * 16])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (Attribute.SERVICE, "afterimage.v1.SearchService"), (Attribute.METHOD, "Search"), (Attribute.STATUS, 5),
        (Attribute.ERROR, Reason.IMAGE_EMPTY.name), (Attribute.DOOR, Door.XIMILAR), (Attribute.PATH, "exact"),
        (Attribute.STATE, "succeeded"), (Attribute.ENCODER, "f" * 16), (Attribute.COUNT, 3), (Attribute.BUSY_S, 0.25),
        (Attribute.BYTES, 10**9),
    ],
)  # fmt: skip
def test_values_of_the_closed_sets_and_numbers_are_allowed(name: str, value: object) -> None:
    assert ALLOWED.allows(name, value)
    assert ALLOWED.kept({name: value}) == {name: value}


@pytest.mark.parametrize("name", list(Attribute))
@pytest.mark.parametrize(
    "value", ["acme", "", "https://shop.example/1.jpg", b"Search", ["Search"], None, "search", True, "12"]
)
def test_no_attribute_takes_another_value(name: str, value: object) -> None:
    assert not ALLOWED.allows(name, value)
    assert ALLOWED.kept({name: value}) == {}


@pytest.mark.parametrize("name", ["net.peer.ip", "user_agent.original", "exception.message", "db.statement", ""])
def test_no_other_attribute_is_allowed(name: str) -> None:
    assert not any(ALLOWED.allows(name, value) for value in (1, 0.5, "Search", "grpc"))


def test_names_of_spans_are_those_of_calls_stages_and_runs() -> None:
    assert ALLOWED.names == {"SearchService/Search", *map(str, Stage), *map(str, Work)}
