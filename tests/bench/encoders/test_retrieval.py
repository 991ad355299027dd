import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from bench.encoders.retrieval import edited_pictures
from service.encoder.alterations import ALTERATIONS
from service.encoder.retrieval import class_scores, found_again
from tests.support.needs import missing
from tests.support.shared import SHARED_REMEDY, clothing

REFERENCE = Path(__file__).parents[4] / "shared" / "tools" / "eval_encoder.py"


def reference() -> ModuleType:
    """The measuring script that the protocol comes from."""
    if not REFERENCE.exists():
        missing("../shared/tools/eval_encoder.py", SHARED_REMEDY)
    spec = importlib.util.spec_from_file_location("eval_encoder", REFERENCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_scores_of_a_case_that_can_be_counted_by_hand() -> None:
    angles = np.radians([0, 10, 25, 90, 100])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    found = class_scores(vectors, np.array(["a", "a", "b", "b", "a"]), k=2)
    # nearest two of each: 1 2 | 0 2 | 1 0 | 4 2 | 3 2; right: 10, 10, 00, 01, 00
    assert found["R@1"] == pytest.approx(40)
    assert found["R@2"] == pytest.approx(60)
    assert found["mAP@2"] == pytest.approx(100 * (0.5 + 0.5 + 0 + 0.5 + 0) / 5)


def test_scores_are_those_of_the_measuring_script_for_the_same_vectors() -> None:
    rng = np.random.default_rng(1)
    labels = np.array([label for _, label in clothing()])
    centres = {label: rng.normal(size=32) for label in np.unique(labels)}
    vectors = unit(np.stack([centres[label] + rng.normal(0, 2.5, 32) for label in labels]))
    expected = reference().scores(vectors, vectors, labels, labels, True)
    for name, value in class_scores(vectors, labels).items():
        assert value == pytest.approx(expected[name], abs=0.06)


def test_copies_are_those_of_the_measuring_script_in_the_same_order() -> None:
    module = reference()
    originals: list[Any] = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path, _ in clothing()[:12]]
    chosen, copies = edited_pictures([p[:, :, ::-1] for p in originals])
    rng = np.random.default_rng(7)
    assert np.array_equal(chosen, rng.permutation(len(originals))[:250])
    assert list(ALTERATIONS) == list(module.EDITS)
    for name, edit in module.EDITS.items():
        for index, copy in zip(chosen, copies[name], strict=True):
            assert np.array_equal(copy[:, :, ::-1], edit(originals[index], rng)), name


def test_an_original_that_comes_first_is_counted() -> None:
    originals = unit(np.eye(4))
    assert found_again(originals[[2, 1]], originals, np.array([2, 3])) == 50
