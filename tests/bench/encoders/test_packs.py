"""Packs of pictures, and what is measured on them, against plain loops."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bench.encoders import packs
from bench.encoders.packs import MATERIALS, QUERIES, Encoded, Pack
from service.encoder.alterations import ALTERATIONS, Picture
from service.encoder.retrieval import Vectors
from tests.bench.encoders.plain_scores import colours, leave_one_out, nearest_is_own, scores
from tests.support.needs import missing
from tests.support.shared import SHARED_REMEDY


def unit(rng: np.random.Generator, *shape: int) -> Vectors:
    made = rng.standard_normal(shape).astype(np.float32)
    return made / np.linalg.norm(made, axis=-1, keepdims=True)


def shared(name: str) -> None:
    if not (packs.SHARED / "data" / name).exists():
        missing(f"../shared/data/{name}", SHARED_REMEDY)


def rows_of(name: str, table: str) -> list[dict[str, str]]:
    with (packs.SHARED / "data" / name / table).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("seed", range(6))
def test_each_picture_of_a_pack_without_a_catalogue_is_searched_by_every_other_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.choice([*"aabbbcdx"], 40)
    labels[0] = "alone"  # finds nothing, and does not count
    vectors = unit(rng, 40, 8)
    found = packs.measured(Pack("p", [], labels), Encoded(vectors, {}))
    assert found == pytest.approx(leave_one_out(vectors, list(labels)))


@pytest.mark.parametrize("seed", range(6))
def test_a_catalogue_is_searched_by_the_pictures_after_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, split = rng.choice([*"abcdefgh"], 60), 25
    labels[-1] = "not in the catalogue"
    vectors = unit(rng, 60, 8)
    found = packs.measured(Pack("p", [], labels, split), Encoded(vectors, {}))
    assert found == pytest.approx(scores(vectors[split:], list(labels[split:]), vectors[:split], list(labels[:split])))


@pytest.mark.parametrize("seed", range(4))
def test_copies_are_counted_by_edit_and_the_worst_edit_is_named_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole, chosen = unit(rng, 30, 6), rng.permutation(30)[:12]
    copies = {
        edit: whole[chosen] + spread * unit(rng, 12, 6)
        for edit, spread in (("crop", 1.2), ("blur", 0.6), ("same", 0.0))
    }
    pack = Pack("p", [], rng.choice([*"ab"], 30), chosen=chosen)
    found = packs.measured(pack, Encoded(whole, copies))
    by_edit = {edit: nearest_is_own(made, whole, list(chosen)) for edit, made in copies.items()}
    assert {edit: found[edit] for edit in copies} == pytest.approx(by_edit)
    assert by_edit["crop"] < by_edit["same"] == 100
    assert found["copies"] == pytest.approx(sum(by_edit.values()) / 3)
    assert found["worst edit"] == pytest.approx(min(by_edit.values()))


def test_drawn_goods_are_the_same_in_every_run_and_each_query_has_one_answer() -> None:
    pack, again = packs.drawn(forms=3), packs.drawn(forms=3)
    assert all(np.array_equal(one, other) for one, other in zip(pack.pictures, again.pictures, strict=True))
    assert pack.catalogue == 3 * MATERIALS
    assert len(pack.pictures) == len(pack.labels) == 3 * (MATERIALS + QUERIES)
    catalogue, queries = list(pack.labels[: pack.catalogue]), list(pack.labels[pack.catalogue :])
    assert len(set(catalogue)) == len(catalogue)
    assert [int(label) // MATERIALS for label in queries] == [n // QUERIES for n in range(3 * QUERIES)]
    assert len(set(queries)) == len(queries)
    assert set(queries) <= set(catalogue)
    assert all(p.dtype == np.uint8 and p.ndim == 3 and p.shape[2] == 3 for p in pack.pictures)
    fewer = packs.drawn(forms=2)  # a form does not depend on how many there are
    for place in (0, 2 * MATERIALS - 1):
        assert np.array_equal(fewer.pictures[place], pack.pictures[place])
    assert np.array_equal(fewer.pictures[fewer.catalogue], pack.pictures[pack.catalogue])


def test_copies_are_edits_of_some_pictures_and_the_originals_stay() -> None:
    pack = packs.drawn(forms=2)
    before = [p.copy() for p in pack.pictures]
    copied = packs.with_copies(pack, 5)
    assert (len(copied.chosen), len(set(copied.chosen.tolist()))) == (5, 5)
    assert copied.copies.keys() == ALTERATIONS.keys()
    assert all(len(made) == 5 for made in copied.copies.values())
    assert all(np.array_equal(a, b) for a, b in zip(before, copied.pictures, strict=True))
    assert replace(copied, chosen=pack.chosen, copies={}) == replace(pack, chosen=pack.chosen)
    mirrored = next(made for edit, made in copied.copies.items() if edit == "flip")
    assert all(np.array_equal(m, before[n][:, ::-1]) for m, n in zip(mirrored, copied.chosen, strict=True))
    assert len(packs.with_copies(pack, 100).chosen) == len(pack.pictures)


def test_all_pictures_of_a_pack_are_encoded_and_weighted() -> None:
    pack = packs.with_copies(packs.drawn(forms=3), 2)
    asked: list[list[Picture]] = []

    def encode(pictures: list[Picture]) -> Vectors:
        asked.append(pictures)
        return colours(pictures)

    made = packs.encoded(pack, encode)
    assert asked[0] is pack.pictures
    assert [len(a) for a in asked[1:]] == [2] * len(ALTERATIONS)
    doubled = made.weighted(lambda vectors: 2 * vectors)
    assert np.array_equal(doubled.whole, 2 * made.whole)
    assert all(np.array_equal(doubled.copies[edit], 2 * vectors) for edit, vectors in made.copies.items())
    assert packs.measured(pack, doubled) == packs.measured(pack, made)


def test_photographs_of_clothing_have_the_labels_of_their_table() -> None:
    shared("clothing")
    rows = rows_of("clothing", "labels.csv")
    some = packs.clothing(20)
    every = len(rows) // 20
    assert list(some.labels) == [row["label"] for row in rows[::every]]
    assert (some.catalogue, len(some.pictures)) == (0, len(some.labels))
    with Image.open(packs.SHARED / "data" / "clothing" / rows[every]["file"]) as opened:
        expected = np.asarray(opened.convert("RGB"), int)
    assert np.abs(some.pictures[1].astype(int) - expected).mean() < 2  # two decoders of JPEG


def test_groceries_are_a_catalogue_and_photographs_from_shops() -> None:
    shared("grocery")
    gallery, queries = rows_of("grocery", "gallery.csv"), rows_of("grocery", "queries.csv")
    some = packs.grocery(10)
    assert some.catalogue == len(gallery)
    every = len(queries) // 10
    assert list(some.labels) == [row["product"] for row in gallery + queries[::every]]
    assert set(some.labels[some.catalogue :]) <= set(some.labels[: some.catalogue])
    with Image.open(packs.SHARED / "data" / "grocery" / gallery[0]["file"]) as opened:
        expected = np.asarray(opened.convert("RGB"), int)
    assert np.abs(some.pictures[0].astype(int) - expected).mean() < 2
