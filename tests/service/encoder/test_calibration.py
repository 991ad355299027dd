import json
from pathlib import Path

import numpy as np
import pytest

from service.encoder.alterations import ALTERATIONS
from service.encoder.calibration import LEAST_PICTURES, calibrate
from service.encoder.registry import EncoderRegistry
from service.errors import SettingError
from service.intake.decode import decode
from service.intake.limits import PictureLimits
from tests.support.data.encoders import ONE_CORE
from tests.support.shared import clothing, own_encoder


def test_copies_are_distinguished_from_strangers_by_what_was_measured() -> None:
    registry = EncoderRegistry(None, "builtin", ONE_CORE)
    pictures = [decode(p.read_bytes(), PictureLimits()) for p, _ in clothing()[::33]]
    found = calibrate(registry.session(registry.manifest("")), pictures, list)
    copies, strangers = found.separated
    assert set(found.copies) == set(ALTERATIONS)
    assert copies > 0.6
    assert strangers < 0.002
    assert found.score.near_duplicate_distance < found.score.midpoint
    assert found.score.score(found.score.midpoint) == pytest.approx(0.5, abs=0.02)
    for mild in ("jpeg30", "resize50", "flip", "border"):
        assert np.quantile(found.copies[mild], 0.95) < found.score.near_duplicate_distance


def test_too_few_pictures_are_refused() -> None:
    registry = EncoderRegistry(None, "builtin", ONE_CORE)
    with pytest.raises(ValueError, match="too few"):
        calibrate(registry.session(registry.manifest("")), [np.zeros((9, 9, 3), np.uint8)] * (LEAST_PICTURES - 1), list)


def test_the_score_goes_into_the_manifest_and_nothing_else_changes(tmp_path: Path) -> None:
    folder = own_encoder(tmp_path)
    registry = EncoderRegistry(folder, "builtin", ONE_CORE)
    before = registry.manifest("mobilenet-v2")
    registry.write_score(before, before.score.model_copy(update={"midpoint": 0.123}))
    after = EncoderRegistry(folder, "builtin", ONE_CORE).manifest("mobilenet-v2")
    assert after.score.midpoint == 0.123
    assert after.fingerprint == before.fingerprint
    stored = json.loads(next(folder.glob("*/encoder.json")).read_text())
    assert stored["id"] == "mobilenet-v2"
    with pytest.raises(SettingError, match="already calibrated"):
        registry.write_score(registry.manifest("builtin"), before.score)
