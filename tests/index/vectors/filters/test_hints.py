"""Hints about filters that cannot match."""

import pytest

from index import Collection, FilterHints, SearchQuery
from index.types.record import Deletion
from tests.support.data.collections import record, vector


@pytest.fixture
def shop(collection: Collection) -> Collection:
    collection.upsert(
        [record(n, "p1", color="red", price=n, size="42", sale=True, tags=("new",), none=()) for n in range(20)]
    )
    return collection


@pytest.mark.parametrize(
    ("filter_text", "unknown", "sentences"),
    [
        ("", (), ()),
        ('color = "red" AND price < 5 AND NOT tags:"old" AND product_id:*', (), ()),
        ('product_id = p1 AND colour = "red"', ("colour",), ("no record has `colour`; did you mean `color`?",)),
        ("tags:true", (), ("`tags` holds lists, never what true is",)),
        ('colour = "red"', ("colour",), ("no record has `colour`; did you mean `color`?",)),
        ("colour:* OR NOT (colour = a)", ("colour",), ("no record has `colour`; did you mean `color`?",)),
        ("weight > 5", ("weight",), ("no record has `weight`",)),
        (
            "weight > 5 AND (colour = a OR NOT height < 2) AND weight < 9",
            ("weight", "colour", "height"),
            ("no record has `weight`", "no record has `colour`; did you mean `color`?", "no record has `height`"),
        ),
        ("products = p1", ("products",), ("no record has `products`; did you mean `product_id`?",)),
        ('tags = "new"', (), ('`tags` holds lists, which `=` does not look into; write `tags:"new"`',)),
        ('tags != "new"', (), ('`tags` holds lists, which `!=` does not look into; write `NOT tags:"new"`',)),
        ('tags = "n*" AND color = red', (), ('`tags` holds lists, which `=` does not look into; write `tags:"n*"`',)),
        ("size = 42", (), ("`size` holds texts, never what 42 is",)),
        ('price = "5"', (), ('`price` holds numbers, never what "5" is',)),
        ("sale = yes", (), ('`sale` holds true or false, never what "yes" is',)),
        ("tags = 5", (), ("`tags` holds lists, never what 5 is",)),
        ("none:*", (), ()),
        ('none = "x"', (), ('`none` holds lists, which `=` does not look into; write `none:"x"`',)),
    ],
)
def test_a_filter_that_can_match_nothing_is_explained(
    shop: Collection, filter_text: str, unknown: tuple[str, ...], sentences: tuple[str, ...]
) -> None:
    assert shop.filter_hints(filter_text) == FilterHints(unknown, sentences)
    assert shop.search(SearchQuery(vector(1), 1, filter=filter_text)).hints == FilterHints(unknown, sentences)


def test_an_attribute_that_only_deleted_records_had_is_unknown(shop: Collection) -> None:
    shop.upsert([record(99, weight=5)])
    assert shop.filter_hints("weight > 1") == FilterHints()
    shop.delete(["99"])
    assert shop.filter_hints("weight > 1").unknown_attributes == ("weight",)


def test_ids_that_a_deletion_would_not_find_are_reported_once_each_in_order(shop: Collection) -> None:
    assert shop.unknown_ids(["x", "1", "y", "x", "2"]) == ["x", "y"]
    assert shop.delete_known(["x", "1", "y", "x", "1"]) == Deletion(1, ["x", "y"])
    assert shop.delete_known(["x", "1", "2"]) == Deletion(1, ["x", "1"])
