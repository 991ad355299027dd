"""The whole benchmark at a tiny size, on real encoders and a real decoder."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not here; to run this: make torch")

from bench.inversion import document
from bench.inversion.__main__ import BUILTIN, draw
from bench.inversion.attack import attack
from bench.inversion.decoder import SIDE, Components, Training, components_of, train
from bench.inversion.measures import psnr
from bench.inversion.representations import COMPARABLE, MAP
from bench.inversion.scene import Sizes, drawn_scene
from service.encoder.registry import BUILTIN_FOLDER

SIZES = Sizes(training=70, known=40, collection=16, reconstructed=6, suspects=3, photographs=0)
TRAINING = Training(epochs=2, sharpened=1, components=8)


def discs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of a disc, and vectors that give its place and colour."""
    rng = np.random.default_rng(1)
    pictures, vectors = [], []
    for _ in range(count):
        x, y, *ink = (int(v) for v in (*rng.integers(12, SIDE - 12, 2), *rng.integers(0, 256, 3)))
        picture = np.full((SIDE, SIDE, 3), 255, np.uint8)
        cv2.circle(picture, (x, y), 10, ink, -1)
        pictures.append(picture)
        vectors.append([x / SIDE - 0.5, y / SIDE - 0.5, *(v / 255 - 0.5 for v in ink)])
    return np.stack(pictures), np.array(vectors, np.float32)


def trained(pictures: np.ndarray, vectors: np.ndarray, epochs: int) -> np.ndarray:
    """What a decoder makes of the last 40 vectors after training on the others."""
    parts = components_of(pictures[:-40], 40)
    steps: list[int] = []
    decoder = train(vectors[:-40], pictures[:-40], parts, Training(epochs, sharpened=1), lambda: steps.append(1))
    assert len(steps) == epochs + 1
    return decoder(vectors[-40:])


def test_a_decoder_draws_what_vectors_say_and_the_mean_where_they_say_nothing() -> None:
    pictures, vectors = discs(640)
    mean = np.repeat(pictures[:-40].mean(axis=0, keepdims=True).astype(np.uint8), 40, axis=0)
    usual = psnr(mean, pictures[-40:]).mean()
    assert psnr(trained(pictures, vectors, 12), pictures[-40:]).mean() > usual + 3
    shuffled = np.random.default_rng(2).permutation(vectors)
    assert abs(psnr(trained(pictures, shuffled, 4), pictures[-40:]).mean() - usual) < 0.6


def test_components_are_orthogonal_and_no_more_than_there_are_pictures() -> None:
    parts: Components = components_of(discs(30)[0], 384)
    axes = parts.axes.numpy()
    assert axes.shape == (3 * SIDE * SIDE, 30)
    assert np.allclose(axes.T @ axes, np.eye(30), atol=1e-3)


def test_a_run_has_figures_of_every_attack_and_makes_the_tables_and_the_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.inversion.learnt.MEAN_ROWS", (30,))
    scene = drawn_scene(SIZES)
    result, made = attack(scene, {BUILTIN: BUILTIN_FOLDER}, TRAINING)
    found = result["encoders"][BUILTIN]
    assert set(found["attributes"]) == {*COMPARABLE, MAP}
    assert found["membership"]["vector"]["unaltered"] == {"auc": 1.0, "tpr": 100.0}
    rows = found["reconstruction"]["drawn"]
    assert set(rows) == {"mean picture", "nearest of the attacker's", *COMPARABLE, MAP}
    assert all(0 < r["psnr"] < 60 and -1 <= r["ssim"] <= 1 for r in rows.values())
    sheet = tmp_path / "sheet.png"
    draw(scene, made, sheet)
    drawn = cv2.imread(str(sheet))
    assert drawn is not None
    assert drawn.std() > 20
    machine = {"time": "2026-01-01T00", "commit": "abc", "cores": 2, "cpu": "any"}
    text = document.tables(json.loads(json.dumps({**result, "machine": machine, "skipped": {"x": "no y"}})))
    assert "Skipped: x (no y)." in text
    assert f"{rows['vector']['psnr']:.1f}" in text
