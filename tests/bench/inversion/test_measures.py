import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.inversion.measures import found_among, psnr, roc_auc, ssim, tpr_at

scores = st.lists(st.integers(-4, 4), min_size=1, max_size=30)


def noise(seed: int, count: int = 2, side: int = 14) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def plain_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """One window of 11 x 11 after the other."""
    weights = [[math.exp(-((y - 5) ** 2 + (x - 5) ** 2) / (2 * 1.5**2)) for x in range(11)] for y in range(11)]
    w = np.array(weights) / np.sum(weights)
    x, y = (p.astype(float) @ np.array([0.299, 0.587, 0.114]) for p in (a, b))
    found = []
    for top in range(a.shape[0] - 10):
        for left in range(a.shape[1] - 10):
            u, v = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            mu, mv = (w * u).sum(), (w * v).sum()
            su, sv = (w * (u - mu) ** 2).sum(), (w * (v - mv) ** 2).sum()
            both = (w * (u - mu) * (v - mv)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            found.append((2 * mu * mv + c1) * (2 * both + c2) / ((mu**2 + mv**2 + c1) * (su + sv + c2)))
    return float(np.mean(found))


@given(scores, scores)
def test_auc_is_the_share_of_pairs_that_are_in_order(members: list[int], others: list[int]) -> None:
    pairs = [(m > o) + (m == o) / 2 for m in members for o in others]
    assert roc_auc(np.array(members), np.array(others)) == pytest.approx(sum(pairs) / len(pairs))


@given(scores, scores, st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.5]))
def test_tpr_is_the_best_of_all_thresholds_that_keep_the_false_alarms(
    members: list[int], others: list[int], fpr: float
) -> None:
    best = 0.0
    for threshold in range(-6, 6):
        if sum(o > threshold for o in others) <= fpr * len(others):
            best = max(best, sum(m > threshold for m in members) / len(members))
    assert tpr_at(np.array(members), np.array(others), fpr) == pytest.approx(best)


def test_psnr_is_the_logarithm_of_the_mean_square_error() -> None:
    a, b = noise(1), noise(2)
    for row in range(2):
        values = zip(a[row].ravel().tolist(), b[row].ravel().tolist(), strict=True)
        error = sum((x - y) ** 2 for x, y in values) / a[row].size
        assert psnr(a, b)[row] == pytest.approx(20 * math.log10(255) - 10 * math.log10(error))
    assert np.isinf(psnr(a, a)).all()


@pytest.mark.parametrize("mixed", [0.0, 0.3, 1.0])
def test_ssim_is_the_mean_over_all_windows(mixed: float) -> None:
    a, b = noise(3), noise(4)
    made = ((1 - mixed) * a + mixed * b).astype(np.uint8)
    for row in range(2):
        assert ssim(made, a)[row] == pytest.approx(plain_ssim(made[row], a[row]), abs=1e-9)


@given(st.integers(0, 50), st.integers(1, 4))
def test_an_original_is_found_where_fewer_than_k_others_are_nearer(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    originals = rng.normal(size=(9, 3))
    made = originals[:5] + rng.normal(0, 0.8, (5, 3))
    found = 0
    for row in range(5):
        order = sorted(range(9), key=lambda n: float(((made[row] - originals[n]) ** 2).sum()))
        found += row in order[:k]
    assert found_among(made, originals, k) == pytest.approx(found / 5)
