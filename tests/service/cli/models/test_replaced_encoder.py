"""An encoder that replaces another one, cut off at each step: one of the two is served, whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from service.cli.models.added_encoder import AddedEncoder, write_added
from service.cli.models.adding import ModelFolder
from service.encoder.adding.proposal import Wishes, propose
from service.encoder.adding.trial import Trial
from service.encoder.drawn.samples import FILE_NAME, DrawnSamples, read_samples
from service.encoder.manifest import MANIFEST_NAME, Manifest, read_manifest
from tests.support.data.cuts import cut
from tests.support.data.vision_models import small


def found(folder: Path, file: Path, number: int, *, drawn: bool = True) -> AddedEncoder:
    """A model that differs from those of other numbers, and vectors of drawn pictures that only it gives."""
    file.parent.mkdir(exist_ok=True)
    model = small()
    model.producer_version = str(number)
    onnx.save(model, file)
    proposal = propose(file, Wishes(encoder_id="patches"))
    given = np.full((3, proposal.manifest.output.dimension), 0.1, np.float32)
    given[:, number] = 1.0
    target = ModelFolder(folder, MANIFEST_NAME, file, proposal.content)
    samples = DrawnSamples(given, given) if drawn else None
    return AddedEncoder(proposal.manifest, proposal, Trial((), None), target, samples=samples)


def served(folder: Path) -> tuple[str, int | None]:
    """The digest of the model that a server would load, and whose drawn pictures it would have."""
    manifest = read_manifest(folder)
    samples = read_samples(folder / FILE_NAME, manifest.output.dimension)
    return manifest.sha256, None if samples is None else int(np.argmax(samples.catalogue[0]))


@pytest.mark.parametrize("name", ["patches.onnx", "other.onnx"])
@pytest.mark.parametrize("drawn", [True, False])
def test_an_encoder_that_is_replaced_is_the_old_or_the_new_one(tmp_path: Path, name: str, drawn: bool) -> None:
    folder = tmp_path / "encoders" / "patches"
    write_added(found(folder, tmp_path / "first" / "patches.onnx", 1))
    old = served(folder)
    new = found(folder, tmp_path / "second" / name, 2, drawn=drawn)
    cuts = cut(lambda: write_added(new), folder, tmp_path / "cuts")
    assert old == (old[0], 1)
    assert served(folder) == (new.manifest.sha256, 2 if drawn else None)
    assert len(cuts) >= 4
    wanted = {(old[0], None), (new.manifest.sha256, None), (new.manifest.sha256, 2)}
    assert {served(path) for path in cuts} <= wanted
    (model,) = folder.glob("*.onnx")
    assert read_manifest(folder).model == model.name
    assert sorted(p.name for p in folder.iterdir()) == sorted([MANIFEST_NAME, model.name, *[FILE_NAME] * drawn])


def test_an_encoder_can_be_replaced_again_and_again_also_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "encoders" / "patches"
    for number in (1, 1, 2, 1, 1):
        written: Manifest = write_added(found(folder, tmp_path / "made" / "patches.onnx", number)).manifest
        assert read_manifest(folder) == written
        assert served(folder) == (written.sha256, number)
        assert [p.name for p in folder.glob("*.onnx")] == [written.model]


def test_a_model_that_lies_in_its_folder_already_stays_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "patches"
    for number in (1, 2):
        written = write_added(found(folder, folder / "patches.onnx", number)).manifest
        assert written.model == "patches.onnx"
        assert served(folder) == (written.sha256, number)
