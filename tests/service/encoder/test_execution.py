import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.encoder import execution
from service.encoder.contract import Embedding, Encoder, Modality
from service.encoder.execution import Execution, Hardware, load_encoder, speed_ratios, thread_counts
from service.encoder.manifest import model_digest
from service.encoder.preprocess import to_tensor
from service.encoder.registry import EncoderRegistry
from service.encoder.session import check_provider, check_started, provider_options
from service.encoder.variants import FailedVariant, Variant, build_variant, measure_variants
from service.errors import SettingError
from service.intake.decode import decode
from service.intake.limits import PictureLimits
from tests.support.data.encoders import ONE_CORE
from tests.support.shared import clothing, own_encoder


def test_what_is_fixed_is_not_measured() -> None:
    registry = EncoderRegistry(None, "builtin", Hardware(4, threads=2, batch=3))
    assert registry.load(registry.manifest("")).execution == Execution(threads=2, runs=2, batch=3)


def test_what_is_not_fixed_is_measured_and_the_best_of_it_is_used() -> None:
    registry = EncoderRegistry(None, "builtin", ONE_CORE)
    manifest = registry.manifest("")
    asked: list[int] = []

    def load(threads: int) -> Encoder:
        asked.append(threads)
        return registry.session_with(manifest, threads)

    found = load_encoder(load, Hardware(2, batch=1)).execution
    assert asked == thread_counts(2, "cpu") == [1, 2]
    assert found.pictures_per_second > 0
    assert found.threads * found.runs == 2


SLOWDOWNS = st.lists(st.floats(0.01, 100), min_size=5, max_size=5)


@given(speeds=st.lists(st.floats(0.1, 1000), min_size=1, max_size=4), slowdowns=SLOWDOWNS)
def test_what_slows_the_machine_for_whole_rounds_changes_no_ratio(speeds: list[float], slowdowns: list[float]) -> None:
    def measure(place: int) -> Iterator[float]:
        yield from (speeds[place] * slowdown for slowdown in slowdowns)

    measured = [measure(place) for place in range(len(speeds))]
    found = speed_ratios([some.__next__ for some in measured], rounds=5)
    assert found == pytest.approx([speed / speeds[0] for speed in speeds])


@given(place=st.integers(0, 1), first=st.integers(0, 4), slowdown=st.floats(0.01, 0.5))
def test_two_disturbed_rounds_of_five_do_not_decide(place: int, first: int, slowdown: float) -> None:
    rounds = [[1.0] * 5, [0.9] * 5]
    for number in (first, (first + 1) % 5):
        rounds[place][number] *= slowdown
    measured = [iter(some) for some in rounds]
    assert speed_ratios([some.__next__ for some in measured], rounds=5)[1] == pytest.approx(0.9)


class Counting:
    """An encoder that counts the seconds that its runs would take. It is faster on two threads, but not twice as fast.
    base_s, picture_s: of a run, and of each picture in it, on one thread."""

    modalities = frozenset({Modality.IMAGE})
    taken_s = 0.0  # of all such encoders, divided by the runs that go on at a time

    def __init__(self, threads: int, base_s: float, picture_s: float) -> None:
        self.manifest = EncoderRegistry(None, "builtin", ONE_CORE).manifest("")
        self._runs, self._faster = 2 // threads, 1.5 if threads == 2 else 1.0
        self._base_s, self._picture_s = base_s, picture_s
        self._lock = threading.Lock()

    def encode(self, inputs: Sequence[Any], modality: Modality) -> list[Embedding]:
        with self._lock:
            Counting.taken_s += (self._base_s + self._picture_s * len(inputs)) / self._faster / self._runs
        return []

    def trial(self, count: int) -> list[Any]:
        return [None] * count


class CountedWatch:
    """A stopwatch of those seconds."""

    def __init__(self) -> None:
        self._started = Counting.taken_s

    def seconds(self) -> float:
        return Counting.taken_s - self._started


@pytest.mark.parametrize(
    ("base_s", "picture_s", "batch"),
    [(0.0, 0.02, 1), (0.02, 0.03, 8), (0.01, 0.001, 16)],
    ids=["pictures alone take time", "both take time", "each run takes time"],
)
def test_threads_and_batches_are_those_that_do_most(
    base_s: float, picture_s: float, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "Stopwatch", CountedWatch)
    found = load_encoder(lambda threads: Counting(threads, base_s, picture_s), Hardware(2)).execution
    assert (found.threads, found.runs, found.batch) == (1, 2, batch)


def test_a_provider_that_is_not_there_stops_the_start_and_names_the_package() -> None:
    check_provider("cpu")
    with pytest.raises(SettingError, match=r"model_provider: cuda needs onnxruntime-gpu .* available providers: cpu"):
        EncoderRegistry(None, "builtin", Hardware(1, "cuda"))


def test_providers_are_told_not_to_round_and_how_many_threads_to_use() -> None:
    assert provider_options("cpu", 2) == {}
    assert provider_options("cuda", 2) == {"use_tf32": "0"}
    assert provider_options("openvino", 2)["num_of_threads"] == "2"


def test_a_session_that_runs_without_its_provider_is_no_session_with_it() -> None:
    check_started(["CPUExecutionProvider"], "cpu")
    check_started(["CUDAExecutionProvider", "CPUExecutionProvider"], "cuda")
    with pytest.raises(SettingError, match="model_provider: cuda does not start on this machine; check its driver"):
        check_started(["CPUExecutionProvider"], "cuda")


def cut_model(folder: Path) -> Path:
    """A copy of an encoder whose model was converted to what cannot run."""
    copy = folder.with_name(f"{folder.name}-cut")
    shutil.copytree(folder, copy)
    stated = json.loads((copy / "encoder.json").read_text())
    model = copy / stated["model"]
    model.write_bytes(model.read_bytes()[:-1000])
    (copy / "encoder.json").write_text(json.dumps({**stated, "sha256": model_digest(model)}))
    return copy


def test_variants_are_encoders_of_their_own_whose_gain_and_drift_are_measured(tmp_path: Path) -> None:
    encoders = own_encoder(tmp_path)
    folder = next(p.parent for p in encoders.glob("*/encoder.json"))
    spec = EncoderRegistry(encoders, "builtin", ONE_CORE).manifest("mobilenet-v2").input
    tensors = [to_tensor(decode(p.read_bytes(), PictureLimits()), spec) for p, _ in clothing()[::50]]
    for precision in ("fp16", "int8"):
        build_variant(folder, precision, tensors, encoders / f"mine-{precision}")
    registry = EncoderRegistry(encoders, "builtin", ONE_CORE)
    ids = ["mobilenet-v2", "mobilenet-v2-fp16", "mobilenet-v2-int8"]
    assert len({registry.manifest(i).fingerprint for i in ids}) == 3
    folders = [folder, encoders / "mine-fp16", cut_model(encoders / "mine-fp16"), encoders / "mine-int8"]
    original, (half, cut, eight) = measure_variants(folders, tensors, Hardware(1, threads=1))
    assert isinstance(half, Variant)
    assert isinstance(eight, Variant)
    assert isinstance(cut, FailedVariant)
    assert cut.name == "mine-fp16-cut"
    assert "cannot load the model" in cut.problem
    assert original.drift == pytest.approx(0, abs=1e-6)
    assert original.same_nearest == 1
    assert half.drift < 0.001
    assert not Variant("slow", 1, 10, 0, 1).helps(Variant("original", 1, 10, 0, 1))
    assert not Variant("other", 1, 20, 0.1, 0.6).helps(Variant("original", 1, 10, 0, 1))
    assert Variant("good", 1, 20, 0.001, 0.97).helps(Variant("original", 1, 10, 0, 1))
    assert eight.drift < 0.1
    assert half.megabytes < 0.6 * original.megabytes
    assert eight.megabytes < 0.4 * original.megabytes
    with pytest.raises(SettingError, match="exists"):
        build_variant(folder, "fp16", tensors, encoders / "mine-fp16")
    assert json.loads((encoders / "mine-int8" / "encoder.json").read_text())["id"] == "mobilenet-v2-int8"


def test_too_few_pictures_to_measure_by_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too few"):
        measure_variants([tmp_path], [], ONE_CORE)
