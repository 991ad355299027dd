import numpy as np
import pytest

from bench.inversion.pictures import COLOURS, colour_name_of, drawn
from service.encoder.builtin.generator.objects import FAMILIES, KINDS


def test_the_same_numbers_give_the_same_pictures_and_other_groups_give_others() -> None:
    first, again, others = drawn("training", range(3)), drawn("training", [2]), drawn("others", range(3))
    assert np.array_equal(first.pictures[2], again.pictures[0])
    assert all(values[2] == again.attributes[name][0] for name, values in first.attributes.items())
    assert not any(np.array_equal(a, b) for a, b in zip(first.pictures, others.pictures, strict=True))


def test_another_view_shows_the_same_thing_in_another_picture() -> None:
    first, second = drawn("collection", range(6)), drawn("collection", range(6), view=1)
    for name in ("colour", "family", "kind"):
        assert np.array_equal(first.attributes[name], second.attributes[name])
    assert not any(np.array_equal(a, b) for a, b in zip(first.pictures, second.pictures, strict=True))


def test_a_kind_belongs_to_the_family_whose_module_draws_it() -> None:
    found = drawn("training", range(12)).attributes
    for kind, family in zip(found["kind"], found["family"], strict=True):
        assert KINDS[kind] in list(FAMILIES.values())[family]


@pytest.mark.parametrize("name", COLOURS)
def test_a_colour_term_is_nearest_to_itself(name: str) -> None:
    shade = (np.array(COLOURS[name], np.float32) + 3) / 255
    assert list(COLOURS)[colour_name_of(shade)] == name
