import hashlib

import numpy as np
import pytest

from index.vectors.ann.signatures import BITS, BYTES, SignatureEncoder

DIMENSION = 96
MEAN = np.full(DIMENSION, 0.05, np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def rows(count: int, seed: int = 1) -> np.ndarray:
    """Vectors of length 1 around MEAN."""
    return unit(np.random.default_rng(seed).standard_normal((count, DIMENSION)) * 0.1 + MEAN)


def differing(one: np.ndarray, many: np.ndarray) -> np.ndarray:
    return np.bitwise_count(many ^ one).sum(axis=1)


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_two_rows_differ_in_the_share_of_bits_that_their_angle_from_the_mean_is_of_a_straight_one(share: float) -> None:
    one = rows(400)
    other = unit(one + share * (rows(400, 2) - one))
    signature_encoder = SignatureEncoder(MEAN)
    found = np.bitwise_count(signature_encoder.rows(one) ^ signature_encoder.rows(other)).sum(axis=1) / BITS
    a, b = unit(one - MEAN), unit(other - MEAN)
    angles = np.arccos(np.clip(np.einsum("ij,ij->i", a, b), -1, 1)) / np.pi
    spread = np.sqrt(angles * (1 - angles) / BITS)
    assert abs(float(((found - angles) / spread).mean())) < 0.3
    assert 0.8 < float(((found - angles) / spread).std()) < 1.2


def test_nearly_all_rows_as_near_as_one_differ_by_no_more_bits_than_estimated() -> None:
    everything = rows(5000)
    signature_encoder, shares = SignatureEncoder(MEAN, lambda: everything[:500]), []
    signatures = signature_encoder.rows(everything.astype(np.float16))
    for query in rows(40, 3):
        scores = everything @ query
        best = np.argsort(-scores)[:30]
        within = signature_encoder.within(query, float(scores[best[-1]]))
        shares.append(float((differing(signature_encoder.query(query), signatures[best]) <= within).mean()))
    assert np.mean(shares) > 0.97
    (query,) = rows(1, 4)
    assert (
        signature_encoder.within(query, 1.0)
        < signature_encoder.within(query, 0.9)
        < signature_encoder.within(query, 0.5)
    )
    assert signature_encoder.within(query, 0.5, spreads=3) > signature_encoder.within(query, 0.5)


def test_rows_that_lie_differently_along_the_mean_are_reckoned_with() -> None:
    """A query is unrelated to what the rows share.

    Of two rows at the same distance, one may have a component along the mean.
    """
    chance = np.random.default_rng(8)
    everything = unit(chance.standard_normal((20_000, DIMENSION)) * 0.1 + MEAN * chance.uniform(0, 5, (20_000, 1)))
    signature_encoder, shares = SignatureEncoder.of_sample(everything), []
    signatures = signature_encoder.rows(everything)
    for n in range(30):
        query = np.zeros(DIMENSION, np.float32)
        query[:12] = unit(rows(1, 20 + n)[0][:12] - 0.05)
        scores = everything @ query
        best = np.argsort(-scores)[:30]
        within = signature_encoder.within(query, float(scores[best[-1]]))
        shares.append(float((differing(signature_encoder.query(query), signatures[best]) <= within).mean()))
    assert np.mean(shares) > 0.98


def test_a_vector_has_the_sketch_that_its_row_has_and_a_mean_of_its_own_does_no_harm() -> None:
    everything = rows(9000)
    signature_encoder = SignatureEncoder.of_sample(everything)
    signatures = signature_encoder.rows(everything)
    assert signatures.shape == (9000, BYTES)
    assert all(
        differing(signature_encoder.query(everything[i]), signatures[i : i + 1])[0] <= 2 for i in (0, 4096, 8999)
    )
    assert SignatureEncoder(np.zeros(3, np.float32)).query(np.zeros(3, np.float32)).shape == (BYTES,)


def test_sketches_are_the_same_from_version_to_version_since_snapshots_keep_them() -> None:
    numbers = ((np.arange(64 * 32) * 7919 % 1009) / 1009 - 0.5).reshape(64, 32).astype(np.float32)
    made = SignatureEncoder(np.zeros(32, np.float32)).rows(numbers)
    assert hashlib.sha256(made.tobytes()).hexdigest()[:16] == "52b8c9382a4c4af7"
