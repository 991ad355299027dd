"""Vectors of drawn products: those that are shipped, and files that are old, damaged or of another encoder."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.encoder.drawn.measure import measured
from service.encoder.drawn.samples import DrawnSamples, read_samples
from service.encoder.execution import Hardware
from service.encoder.manifest import read_manifest
from service.encoder.registry import BUILTIN_FOLDER, EncoderRegistry
from service.errors import SettingError


def samples(dimension: int = 16) -> DrawnSamples:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((3, 30, dimension)).astype(np.float32)
    return DrawnSamples(*(vectors / np.linalg.norm(vectors, axis=2, keepdims=True)))


def test_the_built_in_encoder_has_samples_that_it_still_makes() -> None:
    registry = EncoderRegistry(None, "builtin", Hardware(1, "cpu"))
    manifest = registry.manifest("")
    shipped = registry.drawn_samples(manifest)
    assert shipped is not None, "run `make encoder-drawn` after a change of the built-in encoder's vectors"
    again = measured(registry.session(manifest), forms=2)
    for side in ("catalogue", "photographs", "hard"):
        now, then = getattr(again, side), getattr(shipped, side)
        assert np.einsum("nd,nd->n", now, then[: len(now)]).min() > 0.99, side


def test_samples_survive_a_file_in_eight_bits(tmp_path: Path) -> None:
    made = samples()
    made.write(tmp_path / "drawn.npz")
    found = read_samples(tmp_path / "drawn.npz", 16)
    assert found is not None
    assert np.allclose(found.catalogue, made.catalogue, atol=0.01)
    assert np.allclose(found.photographs, made.photographs, atol=0.01)
    assert found.hard is not None
    assert made.hard is not None
    assert np.allclose(found.hard, made.hard, atol=0.01)
    assert read_samples(tmp_path / "none.npz", 16) is None


def test_a_file_of_an_earlier_version_which_has_no_hard_photographs_is_read(tmp_path: Path) -> None:
    made = replace(samples(), hard=None)
    made.write(tmp_path / "drawn.npz")
    found = read_samples(tmp_path / "drawn.npz", 16)
    assert found is not None
    assert found.hard is None
    assert np.allclose(found.photographs, made.photographs, atol=0.01)
    registry = EncoderRegistry(None, "builtin", Hardware(1, "cpu"))
    second = read_manifest(BUILTIN_FOLDER.parent / "earlier" / "builtin-2")
    shipped = registry.drawn_samples(second)
    assert shipped is not None
    assert shipped.hard is None
    assert shipped.catalogue.shape == shipped.photographs.shape == (400, second.output.dimension)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut short"])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "drawn.npz"
    path.write_bytes(content)
    with pytest.raises(SettingError, match=r"drawn\.npz: not a file of drawn samples.*remove it or create it again"):
        read_samples(path, 16)


def test_a_file_of_another_encoder_is_refused(tmp_path: Path) -> None:
    samples(8).write(tmp_path / "drawn.npz")
    with pytest.raises(SettingError, match="not of this encoder"):
        read_samples(tmp_path / "drawn.npz", 16)


def test_a_server_does_not_start_with_a_damaged_file(tmp_path: Path) -> None:
    shutil.copytree(BUILTIN_FOLDER.parent / "earlier" / "builtin-1", tmp_path / "own")
    path = tmp_path / "own" / "encoder.json"
    path.write_text(path.read_text().replace('"id": "builtin"', '"id": "own"'))
    EncoderRegistry(tmp_path, "builtin", Hardware(1, "cpu"))
    (tmp_path / "own" / "drawn.npz").write_bytes(b"damaged")
    with pytest.raises(SettingError, match="not a file of drawn samples"):
        EncoderRegistry(tmp_path, "builtin", Hardware(1, "cpu"))
