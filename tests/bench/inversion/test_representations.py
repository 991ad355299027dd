import numpy as np
import pytest

from bench.inversion.representations import (
    COMPARABLE,
    INT8,
    SIGNATURE,
    VECTOR,
    map_of,
    quantised,
    represented,
    unit,
)
from index.vectors.ann.signatures import SignatureEncoder


def vectors(count: int, seed: int = 1) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(0.1, 1, (count, 40)).astype(np.float32))


def test_int8_is_within_half_a_step_of_the_vector_and_uses_the_whole_range() -> None:
    rows = vectors(50)
    step = np.abs(rows).max(axis=1, keepdims=True) / 127
    assert (np.abs(quantised(rows) * step - rows) <= step / 2 + 1e-7).all()
    assert (np.abs(quantised(rows)).max(axis=1) == 127).all()


def test_a_signature_has_a_sign_for_each_bit_of_the_index() -> None:
    rows = vectors(20)
    encoder = SignatureEncoder.of_sample(rows)
    read = represented(rows, SIGNATURE, encoder)
    packed = encoder.rows(rows)
    for row in range(20):
        for bit in range(512):
            assert (read[row, bit] > 0) == bool(packed[row, bit // 8] >> (bit % 8) & 1)


@pytest.mark.parametrize("kind", COMPARABLE)
def test_every_representation_has_length_one_and_finds_its_own_row(kind: str) -> None:
    rows = vectors(60)
    read = represented(rows, kind, SignatureEncoder.of_sample(rows))
    assert np.linalg.norm(read, axis=1) == pytest.approx(np.ones(60), abs=2e-3)
    asked = represented(unit(rows + np.float32(1e-4)), kind, SignatureEncoder.of_sample(rows))
    assert ((asked @ read.T).argmax(axis=1) == np.arange(60)).all()


def test_a_vector_is_what_half_precision_leaves() -> None:
    rows = vectors(5)
    assert np.array_equal(represented(rows, VECTOR, SignatureEncoder.of_sample(rows)), rows.astype(np.float16))
    with pytest.raises(KeyError, match="hologram"):
        represented(rows, "hologram", SignatureEncoder.of_sample(rows))


def test_a_map_holds_the_unknown_pictures_among_the_known_ones() -> None:
    centres = vectors(3, seed=2)
    known, unknown = (unit(np.repeat(centres, n, axis=0) + 0.05 * vectors(3 * n, n)) for n in (20, 4))
    places = map_of(known, unknown)
    assert places.known.shape == (60, 2)
    far = np.linalg.norm(places.unknown[:, None] - places.known[None], axis=2)
    assert (far.argmin(axis=1) // 20 == np.arange(12) // 4).all()


def test_int8_differs_from_the_vector() -> None:
    rows = vectors(5)
    encoder = SignatureEncoder.of_sample(rows)
    assert not np.array_equal(represented(rows, INT8, encoder), represented(rows, VECTOR, encoder))
