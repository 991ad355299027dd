"""`afterimage collections tune` and `calibrate`, and `encoders calibrate --pairs`."""

import json
from pathlib import Path

import numpy as np
import pytest

from afterimage.client import Client, NewRecord
from service.cli.models.labelled_pairs import Pair, read_pairs
from service.cli.output import CommandError
from tests.support.data.pictures import encode, noise
from tests.support.servers.shell import Shell


def test_labelled_pairs_are_read_in_any_of_the_usual_words(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("\ufefffirst,second,same,by\na,b,1,me\nc, d ,FALSE,\ne,f,yes,\ng,h,0,\n", encoding="utf-8")
    assert read_pairs(path) == [
        Pair("a", "b", True),
        Pair("c", "d", False),
        Pair("e", "f", True),
        Pair("g", "h", False),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("first,second\na,b\n", "needs the columns first, second, same"),
        ("first,second,same\na,b,perhaps\n", "line 2: same is 'perhaps'"),
        ("first,second,same\na,b,1\na,,0\n", "line 3: first and second must not be empty"),
        ("", "needs the columns"),
    ],
)
def test_a_wrong_file_of_pairs_is_named_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(content)
    with pytest.raises(CommandError, match=message):
        read_pairs(path)
    with pytest.raises(CommandError, match="No such file"):
        read_pairs(tmp_path / "none.csv")


def test_a_collection_is_calibrated_and_tuned_from_the_command_line(shell: Shell, tmp_path: Path) -> None:
    dimension = shell.json("collections", "create", "shop")["dimension"]
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.standard_normal((25, dimension)), 2, axis=0) + 0.8 * rng.standard_normal((50, dimension))
    records = [NewRecord(f"r{n}", vector=v.tolist(), product_id=f"p{n // 2}") for n, v in enumerate(vectors)]
    with Client(shell.environment["AFTERIMAGE_TARGET"], shell.environment["AFTERIMAGE_API_KEY"]) as client:
        client.insert("shop", records)
    table, plot = tmp_path / "pairs.csv", tmp_path / "plot.svg"
    lines = [f"r{2 * n},r{2 * n + 1},1" for n in range(25)] + [f"r{2 * n},r{(2 * n + 5) % 50},0" for n in range(25)]
    table.write_text("first,second,same\n" + "\n".join(lines) + "\n")
    found = shell.json("collections", "calibrate", "shop", "--pairs", str(table), "--plot", str(plot))
    assert found["best"]["precision"] > 0.9
    assert plot.read_text().startswith("<svg")
    assert "best" in shell.run("collections", "calibrate", "shop", "--pairs", str(table), "--apply")
    assert shell.json("collections", "get", "shop")["calibration"]["source"] == "PAIRS"
    report = shell.json("collections", "tune", "shop")
    assert report["weights"]["product_count"] == 25
    assert not report["changed"]
    assert "Dry run" in shell.run("collections", "tune", "shop")
    assert shell.json("collections", "tune", "shop", "--undo")["changed"]
    assert shell.json("collections", "get", "shop")["calibration"]["source"] == "DRAWN"
    assert "best" in shell.run("collections", "calibrate", "shop", "--pairs", str(table), "--apply")
    updated = shell.json("collections", "update", "shop", "--default-emphasis", "colour=3")
    assert updated["default_emphasis"] == {"colour": 3}
    assert updated["calibration"]["source"] == "DRAWN", "the pairs were measured under other weights"
    again = shell.run("collections", "update", "shop", "--default-emphasis", "colour=3")
    assert "Its scores are those of drawn pictures under these weights." in again
    assert "scores" not in shell.run("collections", "update", "shop", "--description", "Shop")
    assert "weights of this collection: colour 3" in shell.run("search", "shop", "--id", "r0")
    assert shell.json("collections", "update", "shop", "--default-emphasis", "none")["default_emphasis"] == {}


def test_pairs_of_pictures_are_measured_without_a_server(shell: Shell, tmp_path: Path) -> None:
    lines = ["first,second,same"]
    for n in range(20):
        (tmp_path / f"{n}.png").write_bytes(encode(noise(n)))
        (tmp_path / f"{n}.jpg").write_bytes(encode(noise(n), "JPEG", quality=60))
        lines += [f"{n}.png,{n}.jpg,1", f"{n}.png,{(n + 1) % 20}.jpg,0"]
    (tmp_path / "pairs.csv").write_text("\n".join([*lines, "0.png,none.png,1"]) + "\n")
    out = shell.run("encoders", "calibrate", "--pairs", str(tmp_path / "pairs.csv"), "--json", code=3)
    found = json.loads(out.splitlines()[0])
    assert found["pairs"] == 40
    assert found["best"]["precision"] == found["best"]["recall"] == 1.0
    assert [f["file"] for f in found["failures"]] == ["none.png"]
