"""The calibration by drawn pictures, against a plain count of hits, and on products that it did not see."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.encoder.drawn.samples import DrawnSamples
from service.encoder.execution import Hardware
from service.encoder.manifest import BlockSpec, Manifest
from service.encoder.registry import EncoderRegistry
from service.tuning.curve import LabelledDistances, fitted_curve, losses
from service.tuning.drawn import HITS, calibration_of_drawn, first_hits

BLOCKS = (BlockSpec(name="colour", size=2, share=0.5), BlockSpec(name="shape", size=4, share=0.5))


def drawn(products: int, noise: float, harder: float, seed: int) -> DrawnSamples:
    """Products in three pictures, each the farther from the first, the more noise it has."""
    rng = np.random.default_rng(seed)
    catalogue = rng.standard_normal((products, 6))
    sides = [catalogue] + [catalogue + n * rng.standard_normal((products, 6)) for n in (noise, harder)]
    return DrawnSamples(*((v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32) for v in sides))


@settings(max_examples=25)
@given(
    st.integers(12, 40), st.floats(0.05, 0.5), st.floats(0.5, 2), st.integers(0, 1000),
    st.sampled_from([{}, {"colour": 4.0}, {"shape": 0.0}]),
)  # fmt: skip
def test_easy_and_hard_photographs_are_searched_and_counted_alike(
    products: int, noise: float, harder: float, seed: int, weights: Mapping[str, float]
) -> None:
    samples = drawn(products, noise, harder, seed)
    assert samples.hard is not None
    found = calibration_of_drawn(samples, BLOCKS, weights, 0.1)
    scale = np.sqrt([weights.get(b.name, 1.0) for b in BLOCKS for _ in range(b.size)])
    near, right, strangers = [], [], []
    for side in (samples.photographs, samples.hard):
        for n, query in enumerate(side * scale):
            records = samples.catalogue * scale
            all_of = 1 - records @ query / np.linalg.norm(records, axis=1) / np.linalg.norm(query)
            order = np.argsort(all_of)[:HITS]
            near += all_of[order].tolist()
            right += (order == n).tolist()
            strangers += np.delete(all_of, n).tolist()
    curve = fitted_curve(LabelledDistances(np.array(near), np.array(right), np.arange(len(near))), 0.1)
    assert found.curve.midpoint == pytest.approx(curve.midpoint, abs=0.011)
    assert found.curve.width == pytest.approx(curve.width, rel=0.12)
    assert found.very_alike == pytest.approx(np.quantile(strangers, 0.01), abs=1e-3)
    assert found.alike == pytest.approx(np.quantile(strangers, 0.1), abs=1e-3)
    assert found.pairs == len(near)


def test_without_hard_photographs_the_easy_ones_count_alone() -> None:
    samples = drawn(40, 0.2, 2.0, 0)
    both, easy = (calibration_of_drawn(s, BLOCKS, {}, 0.1) for s in (samples, replace(samples, hard=None)))
    alone = first_hits(1 - (samples.photographs @ samples.catalogue.T).astype(np.float64))
    assert easy.curve == fitted_curve(alone, 0.1)
    assert easy.pairs == len(alone.same) == both.pairs // 2
    assert both.curve.width > easy.curve.width


def test_hard_photographs_of_unseen_products_surprise_less_than_by_easy_ones_alone() -> None:
    samples, manifest = shipped()
    half = len(samples.catalogue) // 2
    known, unseen = (
        DrawnSamples(*(v[chosen] for v in (samples.catalogue, samples.photographs, hard_of(samples))))
        for chosen in (slice(None, half), slice(half, None))
    )
    near = manifest.score.near_duplicate_distance
    now, before = (
        calibration_of_drawn(s, manifest.output.blocks, {}, near).curve for s in (known, replace(known, hard=None))
    )
    hard, easy = (
        first_hits(1 - (side @ unseen.catalogue.T).astype(np.float64)) for side in (hard_of(unseen), unseen.photographs)
    )
    assert losses(now, hard).mean() < losses(before, hard).mean() - 0.01
    assert losses(now, easy).mean() < losses(before, easy).mean() + 0.03, "what easy photographs lose is little"


def shipped() -> tuple[DrawnSamples, Manifest]:
    registry = EncoderRegistry(None, "builtin", Hardware(1, "cpu"))
    manifest = registry.manifest("")
    samples = registry.drawn_samples(manifest)
    assert samples is not None
    return samples, manifest


def hard_of(samples: DrawnSamples) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    assert samples.hard is not None
    return samples.hard
