import numpy as np

from bench.inversion.attributes import guessed, inferred, linear_probe, nearest_probe, neighbours


def clouds(seed: int, count: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    return (rng.normal(0, 0.4, (count, 6)) + 2 * np.eye(3, 6)[labels]).astype(np.float32), labels


def test_both_probes_tell_what_lies_apart_and_only_the_nearest_what_no_plane_parts() -> None:
    known, labels = clouds(1)
    asked, wanted = clouds(2)
    assert (linear_probe(known, labels, asked) == wanted).mean() > 0.95
    assert (nearest_probe(known, labels, asked) == wanted).mean() > 0.95
    ring = np.linspace(0, 6.28, 60, endpoint=False)
    circle = np.stack([np.cos(ring), np.sin(ring)], 1)
    rows = np.concatenate([circle, circle * 0.2]).astype(np.float32)
    inside = np.repeat([0, 1], 60)
    assert (nearest_probe(rows, inside, rows) == inside).all()
    assert (linear_probe(rows, inside, rows) == inside).mean() < 0.8


def test_a_probe_tells_nothing_of_labels_that_were_dealt_at_random() -> None:
    known, _ = clouds(1, 400)
    asked, _ = clouds(2, 400)
    rng = np.random.default_rng(3)
    for probe in (linear_probe, nearest_probe):
        assert 0.2 < (probe(known, rng.integers(0, 3, 400), asked) == rng.integers(0, 3, 400)).mean() < 0.47


def test_neighbours_are_the_nearest_rows() -> None:
    known, _ = clouds(1)
    asked, _ = clouds(2, 7)
    for row, found in zip(asked, neighbours(known, asked, 4), strict=True):
        order = sorted(range(len(known)), key=lambda n: float(((known[n] - row) ** 2).sum()))
        assert set(found.tolist()) == set(order[:4])


def test_labels_keep_their_names_where_some_are_missing() -> None:
    known, labels = clouds(1)
    asked, wanted = clouds(2)
    assert (linear_probe(known, labels * 5 + 2, asked) == wanted * 5 + 2).mean() > 0.95


def test_shares_are_those_of_right_answers_and_a_guess_is_the_most_frequent() -> None:
    known, labels = clouds(1)
    asked, wanted = clouds(2)
    found = inferred(known, {"colour": labels}, asked, {"colour": wanted})
    right = 100 * float((linear_probe(known, labels, asked) == wanted).mean())
    assert abs(found["colour"]["linear"] - right) <= 0.05
    assert guessed({"colour": np.array([4, 4, 1])}, {"colour": np.array([4, 1, 4, 4])}) == {"colour": 75.0}
