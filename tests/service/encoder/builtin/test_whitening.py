import numpy as np
import pytest

from service.encoder.builtin.whitening import fit_whitening


def views(seed: int, pairs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs whose first eight numbers tell them apart and whose other 24 are louder noise."""
    rng = np.random.default_rng(seed)
    own = rng.normal(0, 1, (pairs, 8))
    made = [np.concatenate([own + rng.normal(0, 0.1, own.shape), rng.normal(0, 5, (pairs, 24))], 1) for _ in range(2)]
    return made[0].astype(np.float32), made[1].astype(np.float32), own


def test_whitening_finds_what_tells_pairs_apart_below_louder_noise() -> None:
    projection = fit_whitening(*views(1, 2000)[:2], 8, shrinkage=0.001)
    first, second, _ = views(2, 300)
    raw = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (first, second)]
    assert ((raw[0] @ raw[1].T).argmax(1) == np.arange(300)).mean() < 0.2
    likeness = projection.apply(first) @ projection.apply(second).T
    assert (likeness.argmax(1) == np.arange(300)).mean() > 0.95


def test_projected_vectors_have_length_one_and_fitting_again_gives_the_same_numbers() -> None:
    first, second, _ = views(3, 500)
    once, again = fit_whitening(first, second, 6), fit_whitening(first, second, 6)
    assert np.array_equal(once.matrix, again.matrix)
    assert np.allclose(np.linalg.norm(once.apply(first), axis=1), 1, atol=1e-5)


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        fit_whitening(*views(4, 10)[:2], 16)
