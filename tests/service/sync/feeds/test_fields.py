"""Values of fields."""

import pytest

from service.sync.feeds.fields import ItemReader
from service.sync.feeds.model import FieldMapping, FieldType, Item, Row
from service.sync.feeds.values.attributes import attribute_name, attribute_value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12.0), ("12.50 EUR", 12.5), ("EUR 12,50", 12.5), ("1,234.50", 1234.5), ("1.234,50", 1234.5),
        ("1,234", 1234.0), ("1.234.567", 1234567.0), ("1 234,5 kr", 1234.5), ("1'234.50 CHF", 1234.5), ("-3", -3.0),
        ("12.", 12.0), ("free", None), ("", None),
    ],
)  # fmt: skip
def test_prices_are_read_as_people_write_them(text: str, number: float | None) -> None:
    assert attribute_value(text, FieldType.NUMBER) == number


def test_booleans_and_lists_are_read_and_what_is_neither_is_left_out() -> None:
    assert [attribute_value(t, FieldType.BOOLEAN) for t in ("Yes", "0", "perhaps")] == [True, False, None]
    assert attribute_value("a, b,,c ", FieldType.LIST) == ("a", "b", "c")


def test_column_names_become_attribute_names() -> None:
    names = ["Color Name", "größe", "2nd", "product_id", "__", "custom_label_0"]
    assert [attribute_name(n) for n in names] == ["color_name", "gr_e", "x_2nd", "", "", "custom_label_0"]


def test_a_value_that_does_not_fit_its_type_is_left_out_and_named() -> None:
    item = ItemReader(FieldMapping()).item(Row(1, {"id": "1", "image": "https://s.example/1.jpg", "price": "free"}))
    assert isinstance(item, Item)
    assert (item.attributes, item.left_out) == ({}, ("price",))


def test_long_texts_are_cut_at_a_character() -> None:
    cut = attribute_value("é" * 600, FieldType.TEXT)
    assert cut == "é" * 512
