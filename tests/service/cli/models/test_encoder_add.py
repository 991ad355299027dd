import csv
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

from service.encoder.manifest import read_manifest
from service.encoder.registry import EncoderRegistry
from tests.support.data.encoders import ONE_CORE
from tests.support.data.pictures import encode, noise
from tests.support.data.vision_models import PICTURE, small
from tests.support.servers.shell import Shell
from tests.support.shared import clothing, mobilenet_file


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell without a server."""
    return Shell(None, "", tmp_path / "state", data_dir=tmp_path / "data")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "downloads" / "patches.onnx"
    path.parent.mkdir()
    onnx.save(small(), path)
    return path


@pytest.fixture
def encoders(tmp_path: Path) -> Path:
    folder = tmp_path / "encoders"
    folder.mkdir()
    return folder


def products(folder: Path, count: int) -> Path:
    """Two pictures of each product, in a folder of its own: a noise and its mirror image."""
    for number in range(count):
        where = folder / f"product {number}"
        where.mkdir(parents=True)
        for side, picture in enumerate((noise(number), noise(number).transpose(Image.Transpose.FLIP_LEFT_RIGHT))):
            (where / f"{side}.png").write_bytes(encode(picture))
    return folder


def test_a_real_model_is_added_measured_on_photographs_and_ready_to_be_served(
    shell: Shell, encoders: Path, tmp_path: Path
) -> None:
    photographs = tmp_path / "photographs"
    for path, label in clothing()[::25]:
        (photographs / label).mkdir(parents=True, exist_ok=True)
        (photographs / label / path.name).symlink_to(path)
    done = shell.json("encoders", "add", str(mobilenet_file()), "--encoders-dir", str(encoders), "--id", "mobilenet",
                      "--license", "Apache-2.0", "--pictures", str(photographs))  # fmt: skip
    assert (done["written"], done["folder"]) == (True, str(encoders / "mobilenet"))
    assert {c["state"] for c in done["checks"]} == {"ok"}
    assert done["truth"] == "groups"
    ours, builtin = done["comparison"]
    assert (ours["encoder_id"], ours["dimension"], ours["megabytes"]) == ("mobilenet", 1280, 8.8)
    assert (builtin["encoder_id"], builtin["dimension"]) == ("builtin", 384)
    assert ours["first"] > 30  # of ten classes
    manifest = read_manifest(encoders / "mobilenet")
    assert manifest.license == "Apache-2.0"
    assert manifest.score.midpoint != 0.3  # of these pictures, no default
    registry = EncoderRegistry(encoders, "mobilenet", ONE_CORE)
    assert registry.session(registry.manifest("mobilenet")).manifest == manifest


def test_a_dry_run_says_the_same_and_writes_nothing(shell: Shell, model: Path, encoders: Path) -> None:
    arguments = ["encoders", "add", str(model), "--encoders-dir", str(encoders)]
    tried = shell.json(*arguments, "--dry-run")
    assert list(encoders.iterdir()) == []
    written = shell.json(*arguments)
    assert (tried["written"], written["written"]) == (False, True)
    assert tried["manifest"] == written["manifest"] == json.loads((encoders / "patches" / "encoder.json").read_text())
    assert (encoders / "patches" / "patches.onnx").read_bytes() == model.read_bytes()


def test_people_see_the_guesses_the_checks_and_the_table(
    shell: Shell, model: Path, encoders: Path, tmp_path: Path
) -> None:
    pictures = products(tmp_path / "products", 6)
    said = shell.run("encoders", "add", str(model), "--encoders-dir", str(encoders), "--pictures", str(pictures))
    for text in (
        "nothing tells it; pass --family", "global_average, 16 numbers", "batches", "R@1 %",
        "12 queries; right is what groups say",
    ):  # fmt: skip
        assert text in said
    assert f"Saved to {encoders / 'patches'}" in said


def test_without_a_directory_of_encoders_the_manifest_lies_beside_the_file(shell: Shell, model: Path) -> None:
    shell.run("encoders", "add", str(model))
    assert read_manifest(model.parent).model == "patches.onnx"
    refused = shell.json("encoders", "add", str(model), code=1)["error"]
    assert refused["reason"] == "ENCODER_EXISTS"
    shell.run("encoders", "add", str(model), "--force", "--version", "2")
    assert read_manifest(model.parent).version == "2"


@pytest.mark.long
def test_drawn_pictures_are_what_collections_of_the_encoder_begin_with(
    shell: Shell, model: Path, encoders: Path
) -> None:
    shell.run("encoders", "add", str(model), "--encoders-dir", str(encoders), "--drawn")
    registry = EncoderRegistry(encoders, "patches", ONE_CORE)
    samples = registry.drawn_samples(registry.manifest("patches"))
    assert samples is not None
    assert samples.catalogue.shape == samples.photographs.shape == (400, 16)
    shell.run("encoders", "add", str(model), "--encoders-dir", str(encoders), "--force")
    assert not (encoders / "patches" / "drawn.npz").exists()


def test_an_id_that_another_folder_has_is_refused(shell: Shell, model: Path, encoders: Path) -> None:
    shell.run("encoders", "add", str(model), "--encoders-dir", str(encoders))
    (encoders / "patches").rename(encoders / "other")
    refused = shell.json("encoders", "add", str(model), "--encoders-dir", str(encoders), code=1)["error"]
    assert "pass --id" in refused["message"]


def test_a_model_that_sees_nothing_is_not_written(shell: Shell, tmp_path: Path, encoders: Path) -> None:
    blind = small(before=[
        helper.make_node("Sub", [PICTURE, PICTURE], ["nothing"]), helper.make_node("Cos", ["nothing"], ["ones"]),
    ])  # fmt: skip
    onnx.save(blind, tmp_path / "blind.onnx")
    done = shell.json("encoders", "add", str(tmp_path / "blind.onnx"), "--encoders-dir", str(encoders), code=1)
    assert [c["name"] for c in done["checks"] if c["state"] == "failed"] == ["differs"]
    assert not done["written"]
    assert list(encoders.iterdir()) == []


def test_a_table_names_products_and_a_picture_that_cannot_be_read_is_listed(
    shell: Shell, model: Path, tmp_path: Path
) -> None:
    folder = products(tmp_path / "products", 6)
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.png"))
    (folder / files[0]).write_bytes(b"no picture")
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "product_id"], *([f, f.partition("/")[0]] for f in files)])
    arguments = ["encoders", "add", str(model), "--pictures", str(folder / "table.csv")]
    done = shell.json(*arguments, code=3)
    assert (done["truth"], done["queries"], done["written"]) == ("groups", 10, True)
    assert [f["reason"] for f in done["failures"]] == ["IMAGE_FORMAT_UNSUPPORTED"]


def test_of_more_pictures_than_the_limit_whole_products_are_drawn(shell: Shell, model: Path, tmp_path: Path) -> None:
    pictures = str(products(tmp_path / "products", 9))
    done = shell.json("encoders", "add", str(model), "--pictures", pictures, "--limit", "11", "--dry-run")
    assert done["queries"] == 10


def test_pictures_without_groups_are_found_by_altered_copies(shell: Shell, model: Path, tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(encode(noise(number)))
    done = shell.json("encoders", "add", str(model), "--pictures", str(tmp_path), "--dry-run")
    assert (done["truth"], done["queries"]) == ("altered copies", 12 * 11)
    assert np.all([row["precision"] >= row["first"] for row in done["comparison"]])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--family", "vgg"], 2, "must be one of clip, dinov2"),
        (["--size", "big"], 2, "256x192"),
        (["--output", "gone"], 1, "the graph has no value 'gone'"),
        (["--against", "clip"], 1, "available: builtin"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_exit_code(
    shell: Shell, model: Path, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    pictures = str(products(tmp_path / "products", 5))
    failed = shell.json("encoders", "add", str(model), "--pictures", pictures, *arguments, code=code)
    assert said in failed["error"]["message"]
    assert not (model.parent / "encoder.json").exists()
