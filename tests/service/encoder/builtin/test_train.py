import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not here; to run this: make torch")

from service.encoder.builtin.graph import Graph  # noqa: E402
from service.encoder.builtin.network import NetworkWeights, family, network  # noqa: E402
from service.encoder.builtin.train import __main__ as command  # noqa: E402
from service.encoder.builtin.train.filters import filter_some  # noqa: E402
from service.encoder.builtin.train.layout import FLOATS, SOURCES, VIEW, c_structures, offset  # noqa: E402
from service.encoder.builtin.train.losses import contrast, losses, positives  # noqa: E402
from service.encoder.builtin.train.network import COLOUR, FAMILY, INSTANCE, Network, folded  # noqa: E402
from service.encoder.builtin.train.parts import (  # noqa: E402
    SIDE,
    Amounts,
    Parts,
    arrays_of,
    bytes_of,
    draw_parts,
)
from service.encoder.builtin.train.plan import Plan, Shares, draw_plan  # noqa: E402
from service.encoder.builtin.train.pools import Capacity, Pools  # noqa: E402
from service.encoder.builtin.train.renderer import ProcessorRenderer  # noqa: E402
from service.encoder.session import load_model  # noqa: E402
from tests.service.encoder.builtin import views_by_hand  # noqa: E402

AMOUNTS = Amounts(couples=8, patterns=8, grounds=4, prints=6)
EVERYTHING = Shares(copies=0.3, heaps=0.5, layers=0.7)
CPU = torch.device("cpu")
COMPILER = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler; install gcc")


def parts(seed: int = 1) -> Parts:
    drawn = Parts.within(bytearray(bytes_of(AMOUNTS)), AMOUNTS)
    draw_parts([seed], drawn)
    return drawn


@pytest.fixture(scope="module")
def pools() -> Pools:
    torch.manual_seed(5)
    made = Pools(Capacity(16, 16, 16, 16), CPU)
    made.add(parts())
    return made


def plan(pools: Pools, groups: int = 12, seed: int = 2, shares: Shares = EVERYTHING) -> Plan:
    torch.manual_seed(seed)
    return draw_plan(pools, groups, shares)


def test_drawn_parts_depend_on_their_seed_alone() -> None:
    once, again, other = parts(), parts(), parts(2)
    for name, array in arrays_of(once).items():
        assert np.array_equal(array, arrays_of(again)[name])
        assert not np.array_equal(array, arrays_of(other)[name])
    assert once.shapes.shape == (16, SIDE, SIDE, 8)
    assert once.shapes[..., :5].sum((1, 2, 3)).min() > 0


def test_a_full_ring_takes_new_parts_in_place_of_the_oldest(pools: Pools) -> None:
    small = Pools(Capacity(16, 8, 8, 8), CPU)
    first, second, third = (parts(n) for n in (1, 2, 3))
    for drawn in (first, second, third):
        small.add(drawn)
    assert small.filled["shapes"] == 32
    assert np.array_equal(small.ring("shapes")[:16].numpy(), third.shapes)
    assert np.array_equal(small.ring("shapes")[16:].numpy(), second.shapes)
    assert np.array_equal(small.kinds.numpy(), np.concatenate([third.kinds, second.kinds]))


def test_the_c_structures_have_the_parameters_of_the_plan(pools: Pools) -> None:
    text = c_structures()
    found = {n: int(s or 1) for n, s in re.findall(r"float (\w+)(?:\[(\d+)\])?;", text)}
    assert list(found.items()) == list(VIEW.items())
    assert re.findall(r"long long (\w+);", text) == list(SOURCES)
    assert plan(pools).views.shape == (36, FLOATS)
    assert offset("blur") + VIEW["blur"] == FLOATS


@COMPILER
def test_the_kernel_paints_what_the_slow_renderer_paints(pools: Pools) -> None:
    drawn = plan(pools)
    heaps = drawn.views[:, offset("heap")] > 0
    assert heaps.any()
    assert drawn.scenes.any()
    fast, slow = ProcessorRenderer().paint(pools, drawn).numpy(), views_by_hand.painted(pools, drawn)
    apart = np.abs(fast - slow).max(-1)
    assert (apart > 2e-3).mean() < 1e-3  # a pixel on the edge of a cell or a mask may fall to either side
    assert apart.mean() < 1e-4


@COMPILER
def test_the_kernel_leaves_the_smallest_floats_of_this_process_alone() -> None:
    ProcessorRenderer()
    assert sys.float_info.min / 2 > 0


@COMPILER
def test_blur_and_noise_are_those_of_the_parameters(pools: Pools) -> None:
    drawn = plan(pools, groups=2)
    views = drawn.views.clone()
    views[:, offset("blur") : offset("blur") + 2] = 0
    views[:, offset("noise")] = 0
    render = ProcessorRenderer()
    plain = render(pools, replace(drawn, views=views), 1).float()
    expected = render.paint(pools, drawn).permute(0, 3, 1, 2).clamp(0, 1)
    assert (plain - expected).abs().max() < 1 / 250  # bfloat16
    views[:, offset("noise")] = 0.1
    noisy = render(pools, replace(drawn, views=views), 1).float() - plain
    middle = (plain > 0.35) & (plain < 0.65)
    assert noisy[middle].std() == pytest.approx(0.1, abs=0.02)
    views[:, offset("noise")], views[:, offset("blur")] = 0, 1.0
    kernel = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    blurred = torch.nn.functional.pad(expected, (2, 2, 2, 2), mode="replicate").flatten(0, 1)[:, None]
    blurred = torch.nn.functional.conv2d(blurred, torch.outer(kernel, kernel)[None, None])[:, 0]
    assert (render(pools, replace(drawn, views=views), 1).float().flatten(0, 1) - blurred).abs().max() < 1 / 200


def test_views_of_a_group_belong_together_as_the_plan_says(pools: Pools) -> None:
    drawn = plan(pools, groups=40)
    groups = len(drawn.kinds)
    shape, pattern = (drawn.sources[:, SOURCES.index(n)].view(3, groups) for n in ("shape", "main_pattern"))
    assert torch.equal(shape[0], shape[1])
    assert torch.equal(shape[0] // 2, shape[2] // 2)
    assert torch.equal(pattern[2], pattern[0].roll(1))
    ground = drawn.sources[:, SOURCES.index("ground")].view(3, groups)
    scenes = drawn.scenes
    assert torch.equal(ground[0][scenes], ground[1][scenes])
    assert (drawn.views[:, offset("object")].view(3, groups)[:, scenes] == 0).all()


def test_batches_are_plans_of_whole_groups(pools: Pools) -> None:
    whole = plan(pools, groups=12)
    batches = whole.batches(3)
    again = torch.cat([b.views.view(3, 4, -1) for b in batches], 1).flatten(0, 1)
    assert torch.equal(again, whole.views)
    assert torch.equal(torch.cat([b.kinds for b in batches]), whole.kinds)


def test_positives_are_symmetric_and_leave_out_what_differs_in_colour(pools: Pools) -> None:
    drawn = plan(pools, groups=30)
    filtered = torch.zeros(90, dtype=torch.bool)
    filtered[5] = True
    for together in positives(drawn, filtered):
        assert torch.equal(together, together.T)
        assert not together.diagonal().any()
    things, families, materials = positives(drawn, filtered)
    assert things[3, 33]
    assert not things[3, 63]  # a relative
    usual = ~drawn.scenes
    assert families[3, 63] == bool(usual[3])
    assert not materials[5].any()
    assert things[5, 35]
    assert not positives(drawn, filtered, exact=True)[0][5].any()
    assert not materials[drawn.recoloured].any()


def test_the_contrast_is_lower_for_what_belongs_together() -> None:
    torch.manual_seed(1)
    centres = torch.nn.functional.normalize(torch.randn(8, 32), dim=1)
    labels = torch.arange(16) % 8
    together = (labels[:, None] == labels[None]) & ~torch.eye(16, dtype=torch.bool)
    right, wrong = centres[labels], centres[(labels + torch.arange(16) // 8) % 8]
    assert contrast(right, together, 0.1) < contrast(wrong, together, 0.1)


def test_filters_change_their_share_and_leave_the_rest() -> None:
    torch.manual_seed(1)
    views = torch.rand(20, 3, 32, 32)
    mixed, flags = filter_some(views, 0.25)
    assert flags.sum() == 5
    assert torch.equal(mixed[~flags], views[~flags])
    assert (mixed[flags] - views[flags]).abs().mean() > 0.01
    assert 0 <= mixed.min() <= mixed.max() <= 1


def test_the_folded_network_in_the_graph_gives_what_pytorch_gives(tmp_path: Path) -> None:
    import onnx

    torch.manual_seed(1)
    module = Network().train()
    pixels = torch.rand(4, 3, 112, 112)
    for _ in range(2):
        module(pixels)  # moves the running means and variances
    module.eval()
    with torch.no_grad():
        expected = module(pixels)[2].numpy()
    graph = Graph()
    weights = folded(module)
    found = family(graph, network(graph, "pixels", weights), weights)
    source = onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["n", 3, 112, 112])
    session = load_model(graph.model("network", source, {"out": (found, [FAMILY])}).SerializeToString(), threads=1)
    result = session.run(None, {"pixels": pixels.numpy()})[0]
    assert np.abs(result - expected).max() < 1e-3 * np.abs(expected).max()
    assert tuple(v.shape[1] for v in module(pixels)) == (COLOUR, INSTANCE, FAMILY)


def test_a_step_lowers_the_loss_of_the_same_views(pools: Pools) -> None:
    torch.manual_seed(1)
    module, drawn = Network(), plan(pools, groups=8)
    views, filtered = torch.rand(24, 3, 112, 112), torch.zeros(24, dtype=torch.bool)
    optimiser = torch.optim.AdamW(module.parameters(), 1e-3)
    values = []
    for _ in range(4):
        loss = losses(module(views), drawn, filtered).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < values[0]


@pytest.mark.long
@pytest.mark.timeout(900)
@COMPILER
def test_a_small_training_goes_on_after_a_stop_and_writes_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "network.npz"
    small = ["--work", str(tmp_path / "work"), "--network", str(target), "--groups", "8", "--processes", "1"]
    small += ["--least-couples", "4", "--couples", "4", "--views", "96"]
    assert command.main([*small, "--stop-after", "48"]) == 0
    assert not target.exists()
    assert command.main(small) == 0
    steps = re.findall(r"step (\d+)", capsys.readouterr().out)
    assert steps == ["1", "2", "3", "4"]
    weights = NetworkWeights.load(target)
    assert weights.family.shape == (3136, FAMILY)
    assert all(np.isfinite(layer.kernel).all() for layer in weights.convolutions.values())
    assert command.main([*small, "--groups", "9"]) == 1
    assert "another recipe" in capsys.readouterr().err
