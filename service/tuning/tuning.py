"""What a collection keeps of its tuning, as the text in `CollectionSpec.tuning`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from service.encoder.manifest import ScoreSpec
from service.tuning.calibration import Calibration, CalibrationSource

_NO_WEIGHTS: Mapping[str, float] = MappingProxyType({})
_VERSION = 1


@dataclass(frozen=True)
class Tuning:
    """Of one collection. A collection without any has the empty one.

    - `weights`: of named blocks, for searches that give none; empty: all blocks count 1.
    - `learned`: the weights were chosen by cross-validation, and not by a person.
    - `calibration`: of the scores; None: that of the encoder's manifest.
    - `before`: what the last tuning replaced, for an undo.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: _NO_WEIGHTS)
    learned: bool = False
    calibration: Calibration | None = None
    before: Tuning | None = None

    def with_weights(self, weights: Mapping[str, float], *, learned: bool) -> Tuning:
        """Other weights. The earlier state can be returned to."""
        return replace(self, weights=dict(weights), learned=learned and bool(weights), before=self.state)

    def with_calibration(self, calibration: Calibration | None) -> Tuning:
        """Another calibration. The earlier state can be returned to."""
        return replace(self, calibration=calibration, before=self.state)

    @property
    def state(self) -> Tuning:
        """The same without what it replaced."""
        return replace(self, before=None)

    def undone(self) -> Tuning:
        """What the last change replaced; the same where there is nothing to undo. Undone twice, it is done again."""
        return self if self.before is None else replace(self.before, before=self.state)

    def to_text(self) -> str:
        """As JSON; empty for an empty tuning."""
        return "" if self == Tuning() else json.dumps({"version": _VERSION, **_to_json(self)}, sort_keys=True)


@lru_cache(maxsize=4096)
def tuning_of(text: str) -> Tuning:
    """What `to_text` wrote. Of a text of a later version, or of something else, an empty tuning: the searches go on
    without it."""
    try:
        return _of_json(json.loads(text)) if text else Tuning()
    except (ValueError, KeyError, TypeError, AttributeError):
        return Tuning()


def _to_json(tuning: Tuning) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if tuning.weights:
        found["weights"] = dict(tuning.weights)
    if tuning.learned:
        found["learned"] = True
    if (calibration := tuning.calibration) is not None:
        found["calibration"] = {
            "source": calibration.source.value, "curve": calibration.curve.model_dump(),
            "very_alike": calibration.very_alike, "alike": calibration.alike, "pairs": calibration.pairs,
        }  # fmt: skip
    if tuning.before is not None:
        found["before"] = _to_json(tuning.before)
    return found


def _of_json(found: dict[str, Any]) -> Tuning:
    kept, before = found.get("calibration"), found.get("before")
    calibration = None
    if kept is not None:
        calibration = Calibration(
            CalibrationSource(kept["source"]), ScoreSpec(**kept["curve"]), float(kept["very_alike"]),
            float(kept["alike"]), int(kept["pairs"]),
        )  # fmt: skip
    weights = {str(name): float(weight) for name, weight in found.get("weights", {}).items()}
    return Tuning(
        MappingProxyType(weights), bool(found.get("learned")), calibration, None if before is None else _of_json(before)
    )
