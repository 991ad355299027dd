from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not here; to run this: make torch")

from service.encoder.builtin.formula import INPUT, map_model, pixel_input, prepared  # noqa: E402
from service.encoder.builtin.generator.pairs import draw_pair  # noqa: E402
from service.encoder.builtin.graph import Graph  # noqa: E402
from service.encoder.builtin.head import HeadWeights, head  # noqa: E402
from service.encoder.builtin.scattering import COARSE_CHANNELS, FINE_CHANNELS  # noqa: E402
from service.encoder.builtin.train import __main__ as command  # noqa: E402
from service.encoder.builtin.train import maps, reduction  # noqa: E402
from service.encoder.builtin.train.network import Head, family_loss, folded, instance_loss  # noqa: E402
from service.encoder.session import load_model  # noqa: E402


def small_reduction() -> reduction.Reduction:
    return reduction.fit(*maps.raw_maps("object", 0, 20)[:2])


def test_the_mirror_image_of_reduced_maps_is_a_change_of_signs() -> None:
    fitted = small_reduction()
    pixels = np.stack([prepared(draw_pair(n, "object").first) for n in range(4)])
    session = load_model(map_model().SerializeToString(), threads=1)
    straight, mirrored = (session.run(None, {INPUT.name: p}) for p in (pixels, pixels[:, :, ::-1].copy()))
    for components, one, other in zip((fitted.fine, fitted.coarse), straight, mirrored, strict=True):
        expected = components.apply(one)[..., ::-1] * components.parity[:, None, None]
        assert np.abs(components.apply(other) - expected).max() < 1e-2


def test_the_folded_head_in_the_graph_gives_what_pytorch_gives() -> None:
    torch.manual_seed(1)
    fitted = small_reduction()
    module = Head(16, 8)
    rng = np.random.default_rng(1)
    fine = rng.normal(size=(5, FINE_CHANNELS, 12, 12)).astype(np.float32)
    coarse = rng.normal(size=(5, COARSE_CHANNELS, 6, 6)).astype(np.float32)
    inputs = [torch.from_numpy(c.apply(m)) for c, m in ((fitted.fine, fine), (fitted.coarse, coarse))]
    for _ in range(3):
        module(*inputs)  # moves the running means and variances
    module.eval()
    flipped = [
        (x * torch.from_numpy(c.parity)[:, None, None]).flip(-1)
        for x, c in zip(inputs, (fitted.fine, fitted.coarse), strict=True)
    ]
    with torch.no_grad():
        expected = ((module(*inputs) + module(*flipped)) / 2).numpy()
    assert np.allclose(in_a_graph(folded(module, fitted), fine, coarse), expected, atol=1e-3)


def in_a_graph(weights: HeadWeights, fine: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """The head alone, with the maps as constants."""
    graph = Graph()
    out = head(graph, graph.constant(fine), graph.constant(coarse), weights)
    model = graph.model("head", pixel_input(), {"out": (out, [weights.dimension])})
    return load_model(model.SerializeToString(), threads=1).run(None, {INPUT.name: np.zeros((1, 96, 96, 3), np.uint8)})[
        0
    ]


def test_losses_are_lower_for_what_belongs_together() -> None:
    rng = np.random.default_rng(2)
    first = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(16, 32))), dim=1)
    other = first[torch.randperm(16)]
    assert instance_loss(first, first, 0.1) < instance_loss(first, other, 0.1)
    kinds = torch.arange(16) // 4
    centres = first[kinds * 4]
    assert family_loss(torch.cat([centres, centres]), kinds, 0.1) < family_loss(torch.cat([first, other]), kinds, 0.1)


@pytest.mark.timeout(300)
def test_a_small_training_lowers_the_loss_goes_on_after_a_stop_and_writes_a_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(maps, "SHARD", 40)
    target = tmp_path / "head.npz"
    small = ["--work", str(tmp_path / "work"), "--head", str(target), "--pairs", "120", "--channels", "16"]
    small += ["--objects-per-step", "40", "--families-per-step", "24", "--sample", "20"]
    assert command.main([*small, "--epochs", "4", "--stop-after", "2"]) == 0
    assert not target.exists()
    assert command.main([*small, "--epochs", "4"]) == 0
    losses = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    assert HeadWeights.load(target).dimension == 128
    with pytest.raises(SystemExit, match="another recipe"):
        command.main([*small, "--epochs", "5"])
