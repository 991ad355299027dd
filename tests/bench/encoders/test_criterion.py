from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.encoders import packs
from bench.encoders.criterion import FIGURES, criterion, losses_against
from service.encoder.alterations import Picture
from service.encoder.retrieval import Vectors
from tests.bench.encoders.plain_scores import colours

Quality = dict[str, dict[str, float]]


def quality(values: st.SearchStrategy[float]) -> st.SearchStrategy[Quality]:
    names = {pack: [f for p, f in FIGURES if p == pack] for pack, _ in FIGURES}
    return st.fixed_dictionaries({p: st.fixed_dictionaries(dict.fromkeys(fs, values)) for p, fs in names.items()})


PER_CENT = st.floats(0, 100)
ABOVE_NOTHING = st.floats(0.1, 100)


def changed(given: Mapping[str, Mapping[str, float]], pack: str, figure: str, value: float) -> Quality:
    copy = {p: dict(found) for p, found in given.items()}
    copy[pack][figure] = value
    return copy


@given(quality(PER_CENT), quality(ABOVE_NOTHING))
def test_it_is_the_mean_of_nine_ratios(found: Quality, reference: Quality) -> None:
    ratios = [Fraction(found[p][f]) / Fraction(reference[p][f]) for p, f in FIGURES]
    assert len(set(FIGURES)) == len(ratios) == 9
    assert criterion(found, reference) == pytest.approx(float(100 * sum(ratios) / 9))


@given(quality(ABOVE_NOTHING))
def test_of_the_reference_it_is_100(reference: Quality) -> None:
    assert criterion(reference, reference) == pytest.approx(100)
    assert losses_against(reference, reference) == []


@given(quality(PER_CENT), quality(ABOVE_NOTHING), st.sampled_from(FIGURES))
def test_each_figure_counts_and_more_is_better(found: Quality, reference: Quality, which: tuple[str, str]) -> None:
    pack, figure = which
    better = changed(found, pack, figure, found[pack][figure] + 1)
    assert criterion(better, reference) > criterion(found, reference)


@given(quality(PER_CENT), quality(PER_CENT))
def test_losses_are_the_figures_below_those_of_the_earlier_version(found: Quality, earlier: Quality) -> None:
    losses = losses_against(found, earlier)
    assert losses == [f"{p} {f}" for p, f in FIGURES if found[p][f] < earlier[p][f]]
    assert set(losses) | set(losses_against(earlier, found)) == {
        f"{p} {f}" for p, f in FIGURES if found[p][f] != earlier[p][f]
    }


@pytest.mark.parametrize("which", FIGURES, ids=" ".join)
def test_what_is_not_a_number_is_a_loss(which: tuple[str, str]) -> None:
    earlier = {p: {f: 0.0 for q, f in FIGURES if q == p} for p, _ in FIGURES}
    assert losses_against(changed(earlier, *which, float("nan")), earlier) == [" ".join(which)]


def test_a_figure_that_was_not_measured_is_missed() -> None:
    whole = {p: {f: 50.0 for q, f in FIGURES if q == p} for p, _ in FIGURES}
    part: dict[str, Any] = {p: dict(found) for p, found in whole.items()}
    del part["grocery"]["worst edit"]
    for call in (criterion, losses_against):
        with pytest.raises(KeyError, match="worst edit"):
            call(part, whole)


def test_its_figures_are_those_that_packs_are_measured_by() -> None:
    def encode(pictures: list[Picture]) -> Vectors:
        return colours(pictures)

    pack = packs.with_copies(packs.drawn(forms=3), 2)
    measured = packs.measured(pack, packs.encoded(pack, encode))
    assert {figure for _, figure in FIGURES} <= measured.keys()
    assert {pack for pack, _ in FIGURES} == {"clothing", "grocery", "drawn"}
