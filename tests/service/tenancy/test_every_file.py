"""Every file and folder of a data directory missing, empty, outdated or exchanged, or no file at all, and flipped bytes
in all files.

Nothing is removed, and no answer is wrong. `make reliability` runs it at full length.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.data.damaged_directory import copied, make_whole, wrongs
from tests.support.data.data_directory import tree
from tests.support.data.files import flip_byte
from tests.support.reliability import FaultResult, told

FLIPS = 2000
Report = Callable[[FaultResult], None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data directory, `data`, and its state before the last changes, `older`."""
    return make_whole(tmp_path_factory.mktemp("whole"))


@dataclass(frozen=True)
class Damaging:
    """A kind of damage. `name`: for messages. `run`: called with the path."""

    name: str
    run: Callable[[Path], object]


def paths(whole: Path, *, folders: bool = False) -> list[Path]:
    """Names of all files or folders of the data directory."""
    data = whole / "data"
    found = (p.relative_to(data) for p in sorted(data.rglob("*")) if p.is_dir() == folders)
    return [p for p in found if p != Path("tenants") and not p.name.endswith(("-wal", "-shm"))]


def check(whole: Path, folder: Path, damagings: Iterable[Damaging]) -> tuple[int, list[str]]:
    """Applies each damage to a separate copy. Returns their number, and what was wrong."""
    done, wrong = 0, []
    for damaging in damagings:
        root = copied(whole, folder / "case")
        unharmed = tree(root)
        damaging.run(root)
        wrong += [f"{damaging.name}: {line}" for line in wrongs(whole, root, unharmed)]
        shutil.rmtree(folder / "case")
        done += 1
    return done, wrong


def reported(report: Report, fault: str, outcome: str, found: tuple[int, list[str]]) -> None:
    done, wrong = found
    report(FaultResult(fault, done, len(wrong), outcome))
    assert wrong == []


def flip(name: Path, chance: float) -> Damaging:
    return Damaging(f"{name} flipped at {chance}", lambda root: _flip(root / name, chance))


def _flip(path: Path, chance: float) -> None:
    flip_byte(path, int(path.stat().st_size * chance))


def gone(name: Path) -> Damaging:
    return Damaging(f"{name} missing", lambda root: _remove(root / name))


def emptied(name: Path) -> Damaging:
    def run(root: Path) -> None:
        for path in [root / name] if (root / name).is_file() else (root / name).rglob("*"):
            if path.is_file():
                path.write_bytes(b"")

    return Damaging(f"{name} empty", run)


def aged(whole: Path, name: Path) -> Damaging:
    def run(root: Path) -> None:
        gone(name).run(root)
        copy = shutil.copytree if (whole / "older" / name).is_dir() else shutil.copy
        copy(whole / "older" / name, root / name)

    return Damaging(f"{name} older", run)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


# What may lie in the place of a file. To open a pipe waits for a writer, and to read a device never ends.
INSTEAD: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo, "device": lambda p: p.symlink_to("/dev/zero"), "folder": os.mkdir,
    "link to itself": lambda p: p.symlink_to(p.name), "link to nothing": lambda p: p.symlink_to("nothing"),
}  # fmt: skip


def replaced(name: Path, kind: str) -> Damaging:
    def run(root: Path) -> None:
        _remove(root / name)
        INSTEAD.get(kind, Path.touch)(root / name)

    return Damaging(f"{name} is a {kind}", run)


def swap(one: Path, other: Path) -> Damaging:
    def run(root: Path) -> None:
        (root / one).rename(root / "between")
        (root / other).rename(root / one)
        (root / "between").rename(root / other)

    return Damaging(f"{one} and {other} swapped", run)


def swaps(names: list[Path]) -> list[Damaging]:
    """Exchanges of all pairs of which neither contains the other."""
    pairs = itertools.combinations(names, 2)
    return [swap(one, other) for one, other in pairs if one not in other.parents and other not in one.parents]


def test_some_flipped_bytes_and_swapped_files_are_noticed(whole: Path, tmp_path: Path) -> None:
    chance = random.Random(1)
    files = paths(whole)
    some = [flip(chance.choice(files), chance.random()) for _ in range(6)]
    assert check(whole, tmp_path, some + chance.sample(swaps(files), 6))[1] == []


@pytest.mark.parametrize("kind", INSTEAD)
def test_what_is_no_file_holds_nobody_up(whole: Path, tmp_path: Path, kind: str) -> None:
    """Of each kind of file one; reading two of them waited for good."""
    names = {p.name.partition("-0")[0]: p for p in paths(whole)}
    some = random.Random(kind).sample(sorted(names), 3)
    chosen = [names["manifest.json"], names["records.db"], *(names[name] for name in some)]
    assert check(whole, tmp_path, [replaced(name, kind) for name in chosen])[1] == []


@pytest.mark.parametrize("kind", ["file", "pipe", "link to itself"])
def test_what_is_no_folder_holds_nobody_up(whole: Path, tmp_path: Path, kind: str) -> None:
    folders = random.Random(kind).sample(paths(whole, folders=True), 3)
    assert check(whole, tmp_path, [replaced(name, kind) for name in folders])[1] == []


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_every_file_is_something_else(whole: Path, tmp_path: Path, report_faults: Report) -> None:
    damagings = [replaced(name, kind) for kind in INSTEAD for name in paths(whole)]
    found = check(whole, tmp_path, told(damagings, len(damagings), "no files"))
    outcome = "each response is right, or its error names the file; nothing is removed, and nothing waits"
    fault = "file that is a pipe, a device, a folder or a link: every one"
    reported(report_faults, fault, outcome, found)


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_every_folder_is_something_else(whole: Path, tmp_path: Path, report_faults: Report) -> None:
    kinds = ["file", *(kind for kind in INSTEAD if kind != "folder")]
    damagings = [replaced(name, kind) for kind in kinds for name in paths(whole, folders=True)]
    found = check(whole, tmp_path, told(damagings, len(damagings), "no folders"))
    outcome = "each response is right, or its error names the folder; nothing is removed, and nothing waits"
    fault = "folder that is a file, a pipe, a device or a link: every one"
    reported(report_faults, fault, outcome, found)


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_bytes_of_every_file_flipped(whole: Path, tmp_path: Path, report_faults: Report) -> None:
    chance, files = random.Random(2), paths(whole)
    flips = [flip(name, chance.random()) for name, _ in zip(itertools.cycle(files), range(FLIPS), strict=False)]
    found = check(whole, tmp_path, told(flips, FLIPS, "flipped bytes"))
    outcome = f"each response is right, or its error names the file; {len(files)} files"
    reported(report_faults, "flipped byte of a file of the data directory", outcome, found)


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("folders", [False, True], ids=["files", "folders"])
def test_every_pair_swapped(whole: Path, tmp_path: Path, folders: bool, report_faults: Report) -> None:
    all_pairs = swaps(paths(whole, folders=folders))
    found = check(whole, tmp_path, told(all_pairs, len(all_pairs), "swaps"))
    outcome = "each response is right, or its error names the file; nothing is removed"
    what = "folders" if folders else "files"
    reported(report_faults, f"two {what} swapped, within a tenant and between tenants: every pair", outcome, found)


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", ["missing", "empty", "older"])
def test_every_file_and_folder(whole: Path, tmp_path: Path, how: str, report_faults: Report) -> None:
    names = paths(whole) + paths(whole, folders=True)
    if how == "older":
        names = [n for n in names if (whole / "older" / n).exists()]
    damagings = [{"missing": gone, "empty": emptied}.get(how, lambda n: aged(whole, n))(name) for name in names]
    found = check(whole, tmp_path, told(damagings, len(damagings), how))
    outcome = "each response is right, or its error names the file; nothing is removed"
    reported(report_faults, f"file or folder {how}: every one", outcome, found)
