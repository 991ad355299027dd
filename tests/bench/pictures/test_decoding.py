import pytest

from bench.pictures.decoding import SPACES, found_first, shoes


def test_a_colour_is_found_in_whatever_colours_it_is_stored() -> None:
    table = found_first(shoes(every=5, side=160))
    assert set(table) == set(SPACES)
    assert all(row["converted"] == 100 for row in table.values())


@pytest.mark.long
def test_of_all_colours_nearly_every_one_is_found_first_and_would_not_be_without_profiles() -> None:
    table = found_first(shoes())
    assert all(row["converted"] >= 98 for row in table.values())
    assert table["ProPhoto RGB"]["profile ignored"] < 80
