import cv2
import numpy as np
import pytest

from service.encoder.builtin.generator.objects import KINDS, Thing, any_thing, draw
from service.encoder.builtin.generator.pairs import NO_KIND, PICTURE_SIDE, RELATIONS, Relation, draw_pair


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_pair_depends_on_its_number_alone(relation: Relation) -> None:
    once, again, other = draw_pair(5, relation), draw_pair(5, relation), draw_pair(6, relation)
    assert np.array_equal(once.first, again.first)
    assert np.array_equal(once.second, again.second)
    assert once.kind == again.kind
    assert not np.array_equal(once.first, other.first)


def test_relations_draw_different_pairs_of_the_same_number() -> None:
    firsts = [draw_pair(5, relation).first for relation in RELATIONS]
    assert not np.array_equal(firsts[0], firsts[1])
    assert not np.array_equal(firsts[1], firsts[2])


@pytest.mark.parametrize("relation", RELATIONS)
def test_both_pictures_of_a_pair_are_whole_and_different(relation: Relation) -> None:
    for number in range(20):
        pair = draw_pair(number, relation)
        for picture in (pair.first, pair.second):
            assert picture.shape == (PICTURE_SIDE, PICTURE_SIDE, 3)
            assert picture.dtype == np.uint8
        assert not np.array_equal(pair.first, pair.second)
        assert (pair.kind == NO_KIND) or 0 <= pair.kind < len(KINDS)


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=[k.__name__ for k in KINDS])
def test_every_kind_of_goods_fills_a_part_of_its_layer_and_no_more(kind: int) -> None:
    for seed in range(3):
        opacity = draw(Thing(kind, seed, seed))[..., 3]
        assert 0.01 < opacity.mean() < 0.95
        assert opacity.max() <= 1


def test_there_are_many_kinds_and_no_two_share_a_name() -> None:
    names = [k.__name__ for k in KINDS]
    assert len(names) >= 100
    assert len(set(names)) == len(names)


def test_a_relative_keeps_the_kind_and_changes_the_material() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        thing = any_thing(rng)
        relative = thing.relative(rng)
        assert relative.kind == thing.kind
        assert relative.shape_seed == thing.shape_seed
        assert relative.material_seed != thing.material_seed


def test_opencv_threads_do_not_change_a_picture() -> None:
    before = cv2.getNumThreads()
    pictures = []
    try:
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            pictures.append(draw_pair(11, "object").first)
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(pictures[0], pictures[1])
