from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from service.encoder.adding.comparison import GroupedPicture, Truth, compare, truth_of
from service.encoder.calibration import calibrate
from service.encoder.contract import Embedding, Encoder, Modality
from service.encoder.kinds import load_kind
from service.encoder.manifest import Manifest, OutputSpec, read_manifest
from service.encoder.registry import BUILTIN_FOLDER
from service.training.evaluation import precisions
from tests.support.data.pictures import noise

PICTURES = [np.asarray(noise(n)) for n in range(60)]


@pytest.fixture(scope="module")
def builtin() -> Encoder:
    return load_kind(BUILTIN_FOLDER, read_manifest(BUILTIN_FOLDER), 1)


class MeanColour:
    """Vectors of three numbers: the mean of each channel."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest.model_copy(update={"id": "mean-colour", "output": OutputSpec(dimension=3)})
        self.modalities = frozenset({Modality.IMAGE})

    def trial(self, count: int) -> list[Any]:
        raise NotImplementedError

    def encode(self, inputs: Sequence[Any], modality: Modality) -> list[Embedding]:
        means = [np.asarray(t, np.float32).mean(axis=(1, 2)) for t in inputs]
        return [Embedding((v / np.linalg.norm(v)).astype(np.float32), n) for n, v in enumerate(means)]


def test_groups_are_the_truth_and_figures_are_those_of_the_evaluation_of_own_models(builtin: Encoder) -> None:
    groups = [f"product {n // 3}" for n in range(60)]
    colour = MeanColour(builtin.manifest)
    found = compare(
        [builtin, colour], [GroupedPicture(p, g) for p, g in zip(PICTURES, groups, strict=True)], Truth.GROUPS
    )
    assert [row.encoder_id for row in found.rows] == ["builtin", "mean-colour"]
    assert found.queries == 60
    assert [row.dimension for row in found.rows] == [384, 3]
    from service.encoder.preprocess import to_tensor

    tensors = [to_tensor(p, builtin.manifest.input) for p in PICTURES]
    vectors = np.stack([e.vector for e in colour.encode(tensors, Modality.IMAGE)]).astype(np.float64)
    average, first = precisions(vectors, np.arange(60) // 3)
    assert found.rows[1].first == pytest.approx(100 * first.mean(), abs=0.06)
    assert found.rows[1].precision == pytest.approx(100 * average.mean(), abs=0.06)


def test_without_groups_altered_copies_are_found_and_the_curve_is_that_of_calibrate(builtin: Encoder) -> None:
    pictures = PICTURES[:50]
    found = compare([builtin, MeanColour(builtin.manifest)], [GroupedPicture(p) for p in pictures], Truth.COPIES)
    ours, colour = found.rows
    assert found.queries == 50 * 11
    assert ours.first > 90
    assert ours.first > colour.first
    assert ours.precision >= ours.first
    assert found.score == calibrate(builtin, pictures, iter).score


def test_few_pictures_give_figures_but_no_curve_and_fewer_are_refused(builtin: Encoder) -> None:
    assert compare([builtin], [GroupedPicture(p) for p in PICTURES[:10]], Truth.COPIES).score is None
    with pytest.raises(ValueError, match="9 pictures are too few"):
        compare([builtin], [GroupedPicture(p) for p in PICTURES[:9]], Truth.COPIES)


@pytest.mark.parametrize(
    ("groups", "truth"),
    [
        (["a", "a", "b"], Truth.GROUPS), (["a", "b", "c"], Truth.COPIES), (["a", "a", "a"], Truth.COPIES),
        (["", "", "b", "b"], Truth.COPIES), (["", "a", "b", "b"], Truth.GROUPS), ([], Truth.COPIES),
    ],
)  # fmt: skip
def test_groups_count_only_where_something_can_be_found_and_something_else_instead(
    groups: list[str], truth: Truth
) -> None:
    assert truth_of(groups) is truth
