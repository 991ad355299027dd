"""All attacks on all encoders: trains the attacker, reconstructs, infers, and measures. Needs PyTorch."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.encoders.builtin import encoder_of
from bench.inversion import attributes, learnt
from bench.inversion.decoder import Training, components_of
from bench.inversion.membership import membership
from bench.inversion.reconstruction import Attacker, Pictures, attacker_with, compared, reduced
from bench.inversion.representations import COMPARABLE, MAP, Places, map_of, represented
from bench.inversion.scene import EncodedScene, Scene, encoded_scene
from service.encoder.manifest import read_manifest
from service.training.evaluation import TooFewExamples

DRAWN, PHOTOGRAPHS = "drawn", "photographs"
_EXAMPLES = 40  # of each label of an own model
Made = dict[str, dict[str, Pictures]]  # what was made of the originals, by encoder and representation


def attack(scene: Scene, folders: Mapping[str, Path], training: Training) -> tuple[dict[str, Any], Made]:
    """All figures, and the pictures that were made of the originals. `folders`: encoders by name, of which the first
    is the one whose collections learn."""
    pictures = reduced(scene.training.pictures)
    components = components_of(pictures, training.components)
    found: dict[str, Any] = {}
    made: Made = {}
    learned: dict[str, Any] = {}
    for name, folder in folders.items():
        encoded = encoded_scene(name, encoder_of(folder), scene)
        started = time.monotonic()
        attacker = attacker_with(pictures, encoded.training, encoded.signatures, components, training)
        taken = time.monotonic() - started
        found[name], made[name] = _attacked(scene, encoded, attacker)
        found[name] |= {"dimension": encoded.collection.shape[1], "training_s": round(taken)}
        learned = learned or _learnt(scene, encoded, folder)
    guessed = attributes.guessed(scene.training.attributes, scene.collection.attributes)
    counts = asdict(scene.sizes) | {"photographs": len(scene.photographs)}
    return {"pictures": counts, "guessed": guessed, "encoders": found, "learnt": learned}, made


def _attacked(scene: Scene, encoded: EncodedScene, attacker: Attacker) -> tuple[dict[str, Any], dict[str, Pictures]]:
    sizes = scene.sizes
    asked = encoded.collection[: sizes.reconstructed]
    places = map_of(encoded.training[: sizes.known], encoded.collection)
    made = attacker.from_vectors(asked) | attacker.from_places(Places(places.known, places.unknown[: len(asked)]))
    originals = reduced(scene.collection.pictures[: sizes.reconstructed])
    reconstruction = {DRAWN: compared(made, originals, encoded.collection, encoded.encode)}
    if scene.photographs:
        guesses = attacker.from_vectors(encoded.photographs)
        originals = reduced(scene.photographs)
        reconstruction[PHOTOGRAPHS] = compared(guesses, originals, encoded.photographs, encoded.encode)
    return {
        "reconstruction": reconstruction,
        "attributes": _inferred(scene, encoded, places),
        "membership": membership(encoded.suspects, encoded.collection, encoded.signatures),
    }, made


def _inferred(scene: Scene, encoded: EncodedScene, places: Places) -> dict[str, Any]:
    known, labels = scene.training.attributes, scene.collection.attributes
    found = {}
    for kind in COMPARABLE:
        features = [represented(v, kind, encoded.signatures) for v in (encoded.training, encoded.collection)]
        found[kind] = attributes.inferred(features[0], known, features[1], labels)
    on_map = {name: values[: scene.sizes.known] for name, values in known.items()}
    return found | {MAP: attributes.inferred(places.known, on_map, places.unknown, labels)}


def _learnt(scene: Scene, encoded: EncodedScene, folder: Path) -> dict[str, Any]:
    """Of what collections with this encoder learn. Without what too few pictures are there for."""
    first, second = encoded.collection[: scene.sizes.suspects], encoded.suspects.lookalikes
    rows = [n for n in learnt.MEAN_ROWS if 2 * n <= len(encoded.training)]
    found: dict[str, Any] = {"mean": {str(n): learnt.of_mean(encoded.training, n) for n in rows}}
    with contextlib.suppress(learnt.TooFewProducts):
        found["weights"] = learnt.of_weights(first, second, read_manifest(folder).output.blocks)
    families = scene.training.attributes["family"]
    with contextlib.suppress(TooFewExamples):
        found["own model"] = learnt.of_own_model(encoded.training, families, _EXAMPLES) | {"examples": _EXAMPLES}
    return found
