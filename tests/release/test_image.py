"""What is checked of the image where it is not built: `make image-check` builds and uses it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from release.distributions import ROOT, ReleaseError
from release.image import CONTAINERFILE
from release.image_check import MOST_BYTES, Image, look_at_files

TEXT = (ROOT / CONTAINERFILE).read_text().replace("\\\n", " ")


@pytest.fixture(scope="module")
def image_root() -> ModuleType:
    """The script of the first stage, which is in no package."""
    spec = importlib.util.spec_from_file_location("image_root", ROOT / "deploy/image_root.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(folder: Path, user: str = "10001:10001") -> Image:
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)
    (folder / "a.py").write_text("")
    return Image(folder, {"User": user, "Env": ["PATH=/x", "A=1"]})


def test_the_last_stage_runs_as_a_number_without_a_shell_and_is_asked_for_its_health() -> None:
    last = TEXT.split("\nFROM ")[-1]
    assert last.startswith("scratch\n")
    assert "\nRUN " not in last
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)
    found = re.search(r"^HEALTHCHECK .*CMD (\[.+\])$", last, re.MULTILINE)
    assert found is not None
    _, _, code = json.loads(found[1])
    compile(code, "HEALTHCHECK", "exec")
    for name in ("ENTRYPOINT", "CMD"):
        assert re.search(rf'^{name} \["\w+"\]$', last, re.MULTILINE), name


@pytest.mark.skipif(os.getuid() != 0, reason="files of root can be made by root alone")
def test_files_that_give_rights_are_reported(tmp_path: Path) -> None:
    image = made(tmp_path)
    look_at_files(image)
    for mode, said in ((0o4755, "/a.py gives other rights"), (0o666, "/a.py can be written"), (0o644, "")):
        (tmp_path / "a.py").chmod(mode)
        if said:
            with pytest.raises(ReleaseError, match=said):
                look_at_files(image)
    with pytest.raises(ReleaseError, match="it runs as root"):
        look_at_files(Image(tmp_path, {"User": "0:0", "Env": []}))
    with (tmp_path / "large").open("w") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ReleaseError, match="450 MB are more than 450 MB"):
        look_at_files(image)


def test_a_command_gets_the_environment_of_the_image_alone(tmp_path: Path) -> None:
    command = made(tmp_path).command("python", "-V", environment={"A": "2", "B": "3"})
    assert command[:5] == ["env", "-i", "PATH=/x", "A=2", "B=3"]
    assert command[-4:] == ["--userspec=10001:10001", str(tmp_path), "python", "-V"]


def test_a_library_whose_segments_are_not_aligned_is_kept_as_it_was(image_root: ModuleType) -> None:
    library = next(Path(np.__file__).parent.glob("_core/_multiarray_umath*.so")).read_bytes()
    assert image_root._can_be_loaded(library)
    (start,) = struct.unpack_from("<Q", library, 32)
    size, count = struct.unpack_from("<HH", library, 54)
    loaded = next(
        at for at in range(start, start + size * count, size) if struct.unpack_from("<I", library, at) == (1,)
    )
    (offset,) = struct.unpack_from("<Q", library, loaded + 8)
    moved = bytearray(library)
    struct.pack_into("<Q", moved, loaded + 8, offset + 512)
    assert not image_root._can_be_loaded(bytes(moved))


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("/usr/share/doc/libc6/copyright", False), ("/usr/share/doc/libc6/changelog.gz", True), ("/usr/sbin", True),
        ("/usr/sbin/ldconfig", True), ("/usr/share/zoneinfo/Europe/Prague", False),
        ("/usr/lib/python3.11/ssl.py", False),
    ],
)  # fmt: skip
def test_licences_stay_and_manuals_go(image_root: ModuleType, name: str, left_out: bool) -> None:
    assert image_root._is_left_out(name) is left_out


def test_what_is_left_out_is_there_to_be_left_out(image_root: ModuleType) -> None:
    """A pattern that matches nothing any more would hide that a package has moved its files."""
    site = Path(np.__file__).parents[1]
    if site.parent.name != f"python{sys.version_info.major}.{sys.version_info.minor}":
        pytest.skip("packages are elsewhere")
    patterns = [p for group in image_root.LEFT_OUT.values() for p in group if not p.startswith(("**", "pyroaring"))]
    patterns += [*image_root.STUBBED, *image_root.SAME]
    missing = [p for p in patterns if not any(site.glob(p))]
    assert [p for p in missing if "distutils" not in p and "setuptools" not in p and "pkg_res" not in p] == []
