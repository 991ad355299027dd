"""The training of the built-in detector: scenes, targets, losses, the graph of the network, and that it resumes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not here; to run this: make torch")

from service.detector.builtin.network import GRID, NAMES, POINTS, SIDE, DetectorWeights, detector_model, points  # noqa: E402
from service.detector.builtin.train import __main__ as command  # noqa: E402
from service.detector.builtin.train import scenes as torch_scenes  # noqa: E402
from service.detector.builtin.train.losses import losses, overlaps, targets  # noqa: E402
from service.detector.builtin.train.network import Network, folded  # noqa: E402
from service.detector.builtin.train.parts import Amounts, draw_chunk  # noqa: E402
from service.detector.builtin.train.scenes import Pools, compose  # noqa: E402
from service.encoder.builtin.generator import scenes as numpy_scenes  # noqa: E402
from service.encoder.builtin.generator.layouts import Layout  # noqa: E402
from service.encoder.builtin.generator.scenes import CutOut, box_of  # noqa: E402
from service.encoder.session import load_model  # noqa: E402

AMOUNTS = Amounts(chunks=1, things=6, grounds=3, layouts=12)


@pytest.fixture(scope="module")
def pools() -> Pools:
    made = Pools(torch.device("cpu"))
    made.add(draw_chunk(1, AMOUNTS))
    made.join()
    return made


def test_chunks_depend_on_their_number_alone() -> None:
    small = Amounts(things=1, grounds=1, layouts=2)
    once, again, other = draw_chunk(1, small), draw_chunk(1, small), draw_chunk(2, small)
    assert all(np.array_equal(array, again[name]) for name, array in once.items())
    assert not np.array_equal(once["layers"], other["layers"])
    assert np.less_equal(once["layers"][:, :3], once["layers"][:, 3:]).all()  # colours are times opacity


def test_scenes_of_the_gpu_have_the_goods_of_the_slow_renderer(pools: Pools) -> None:
    """Same layout and things: the boxes agree to a pixel or two, and both count the same goods."""
    parts = pools.parts
    for number in range(AMOUNTS.layouts):
        goods = parts["goods"][number : number + 1]
        things = torch.arange(12)[None] % AMOUNTS.things
        things = things.gather(1, goods[..., 8].long() % 12)
        covers, expected = torch_scenes._layers(parts, goods, things)
        boxes, counted = torch_scenes._boxes(covers[:, :, 3], expected)
        slow = _slow(Layout(goods[0].numpy(), np.zeros((8, 7), np.float32), True), parts, things[0])
        there = counted[0] & (goods[0, :, 2] > 0)
        assert abs(int(there.sum()) - len(slow)) <= 1  # one may be at the limit
        if int(there.sum()) == len(slow) and len(slow):
            assert np.abs(boxes[0][there].numpy() - slow).max() <= 3 / SIDE


def _slow(layout: Layout, parts: dict[str, Any], things: Any) -> np.ndarray:
    """The boxes that the renderer of NumPy gives. Tensors are of PyTorch."""
    cutouts: dict[int, CutOut] = {}
    for slot, good in enumerate(layout.goods):
        thing = int(things[slot])
        layer = parts["layers"][thing].numpy().transpose(1, 2, 0).astype(np.float32) / 255
        cutouts.setdefault(int(good[8]), CutOut(layer, parts["bounds"][thing].numpy(), float(parts["fills"][thing])))
    order = iter(cutouts[n] for n in dict.fromkeys(int(g[8]) for g in layout.goods if g[2] > 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_scenes, "cut_out", lambda rng: next(order))
        paper = np.ones((SIDE, SIDE, 3), np.float32)
        return numpy_scenes.compose_scene(np.random.default_rng(1), layout, paper).boxes


def test_boxes_of_composed_scenes_are_those_of_what_is_visible() -> None:
    rng = np.random.default_rng(3)
    opacity = np.zeros((1, 12, SIDE, SIDE), np.float32)
    for slot in range(3):
        x, y, wide, high = rng.integers(10, 90, 4)
        opacity[0, slot, y : y + high, x : x + wide] = 1
    boxes, counted = torch_scenes._boxes(torch.from_numpy(opacity), torch.from_numpy(opacity.sum((2, 3))))
    visible = opacity[0, 0] * (1 - opacity[0, 1]) * (1 - opacity[0, 2]) > 0.5
    share = visible.sum() / opacity[0, 0].sum()
    assert boxes[0, 0].tolist() == pytest.approx(box_of(visible).tolist())
    assert bool(counted[0, 0]) == (share >= 0.3)
    assert not counted[0, 3:].any()


def test_a_batch_holds_pictures_and_boxes_within_them(pools: Pools) -> None:
    torch.manual_seed(1)
    batch = compose(pools, 6)
    assert batch.views.shape == (6, 3, SIDE, SIDE)
    assert 0 <= batch.views.min() <= batch.views.max() <= 1
    boxes = batch.boxes[batch.counted]
    assert len(boxes) > 0
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert boxes.min() >= 0
    assert boxes.max() <= 1


def test_points_near_a_centre_learn_the_smallest_box_there() -> None:
    boxes = torch.tensor(
        [[[0.19, 0.2, 0.8, 0.83], [0.46, 0.44, 0.57, 0.56], [0.101, 0.101, 0.102, 0.102], [0, 0, 1, 1]]]
    )
    counted = torch.tensor([[True, True, True, False]])
    found = targets(torch.from_numpy(points()), boxes, counted)
    learned = {}
    for number, (x, y) in enumerate(points().tolist()):
        near = [
            b for b in boxes[0, :3].tolist()
            if max(abs(x - (b[0] + b[2]) / 2), abs(y - (b[1] + b[3]) / 2)) < 1.5 / GRID
            and b[0] < x < b[2] and b[1] < y < b[3]
        ]  # fmt: skip
        if near:
            learned[number] = min(near, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))
    nearest = int(np.abs(points() - 0.1015).max(1).argmin())
    learned[nearest] = boxes[0, 2].tolist()
    assert torch.nonzero(found.positive[0])[:, 0].tolist() == sorted(learned)
    for number, box in learned.items():
        assert found.boxes[0, number].tolist() == pytest.approx(box)


def test_overlaps_are_those_of_counted_pixels() -> None:
    rng = np.random.default_rng(1)
    pairs = rng.integers(0, 20, (30, 2, 2, 2)).astype(np.float32)
    pairs.sort(axis=2)
    pairs[:, :, 1] += 1
    boxes = torch.from_numpy(pairs.reshape(30, 2, 4))
    found, generalised = overlaps(boxes[:, 0], boxes[:, 1])
    for number in range(30):
        masks = np.zeros((2, 22, 22), bool)
        for mask, (left, top, right, bottom) in zip(masks, boxes[number].int().tolist(), strict=True):
            mask[top:bottom, left:right] = True
        union, hull = (masks[0] | masks[1]), box_of(masks[0] | masks[1]) * 22
        area = (hull[2] - hull[0]) * (hull[3] - hull[1])
        assert float(found[number]) == pytest.approx((masks[0] & masks[1]).sum() / union.sum(), abs=1e-5)
        assert float(generalised[number]) == pytest.approx(float(found[number]) - (area - union.sum()) / area, abs=1e-5)


def test_the_loss_is_least_where_boxes_and_scores_are_right() -> None:
    wanted = targets(torch.from_numpy(points()), torch.tensor([[[0.3, 0.3, 0.7, 0.6]]]), torch.tensor([[True]]))
    right = torch.where(wanted.positive, 12.0, -12.0)
    perfect = losses(right, wanted.boxes, wanted)
    assert float(perfect.total) == pytest.approx(0, abs=1e-4)
    assert float(losses(-right, wanted.boxes, wanted).score) > 1
    assert float(losses(right, wanted.boxes + 0.1, wanted).box) > 0.2


def test_the_graph_gives_what_pytorch_gives(tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = Network().train()
    pixels = torch.randint(0, 256, (3, SIDE, SIDE, 3), dtype=torch.uint8)
    for _ in range(2):
        module(pixels.permute(0, 3, 1, 2) / 255)  # moves the running means and variances
    module.eval()
    folded(module).save(tmp_path / "weights.npz")
    weights = DetectorWeights.load(tmp_path / "weights.npz")
    assert tuple(weights.convolutions) == NAMES
    with torch.no_grad():
        logits, boxes = module(pixels.permute(0, 3, 1, 2) / 255)
    for given, allowed in ((folded(module), 1e-4), (weights, 0.02)):
        session = load_model(detector_model(given, "float32").SerializeToString(), threads=1)
        found_boxes, scores = session.run(["boxes", "scores"], {"pixels": pixels.numpy()})
        assert found_boxes.shape == (3, POINTS, 4)
        assert np.abs(found_boxes - boxes.clamp(0, 1).numpy()).max() < allowed
        assert np.abs(scores - logits.sigmoid().numpy()).max() < allowed


@pytest.mark.long
def test_training_stops_goes_on_and_writes_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "weights.npz"
    options = ["--work", str(tmp_path / "work"), "--weights", str(weights), "--batch", "1", "--chunks", "1",
               "--things", "1", "--grounds", "1", "--least-things", "1", "--processes", "1",
               "--save-every", "0"]  # fmt: skip
    assert command.main([*options, "--scenes", "2", "--stop-after", "1"]) == 0
    assert not weights.exists()
    assert command.main([*options, "--scenes", "3"]) == 1
    assert "another recipe" in capsys.readouterr().err
    assert command.main([*options, "--scenes", "2"]) == 0
    assert set(DetectorWeights.load(weights).convolutions) == set(NAMES)
    state = torch.load(tmp_path / "work" / "checkpoint.pt", weights_only=True)
    assert (state["steps"], state["views"]) == (2, 2)
