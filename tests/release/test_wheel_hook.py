"""The wheel of the server has one package: imports are moved below it, and what cannot be moved stops the build."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from release.distributions import PACKAGES, ROOT
from release.wheel_hook import NAMESPACE, RelocationError, relocated, write_package

MODULES = {"index", "index.types", "service", "service.cli", "service.cli.main", "afterimage", "afterimage.v1",
           "afterimage.client"}  # fmt: skip


def moved(text: str) -> str:
    return relocated(text.encode(), MODULES).decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from index import A", "from afterimage_server.index import A"),
        ("from service.cli.main import run as r", "from afterimage_server.service.cli.main import run as r"),
        ("import index.types as t", "import afterimage_server.index.types as t"),
        ("from afterimage.v1 import x_pb2 as x__pb2", "from afterimage_server.afterimage.v1 import x_pb2 as x__pb2"),
        ("def f():\n    if 1:\n        from  index.types\timport (\n a,\n b)", None),
        ("é = 'ü'; from index import A  # from index", None),
        ("try: from index import A\nexcept ImportError: pass", None),
        ("from . import index\nfrom .index import a\nimport os.path, indexes\nfrom serviced import x", ""),
        ('"""index.types and `service.cli`."""\nx = 1  # service.cli', ""),
        ("PATH = '/afterimage.v1.SearchService/Search'; N = 'afterimage.v1.Record'; A = 'index.rebuild'", ""),
        ("index = service = 1\nservice.cli, index.types", ""),
    ],
)
def test_only_absolute_imports_of_the_tree_get_the_prefix(before: str, after: str | None) -> None:
    found = moved(before)
    if after is not None:
        assert found == (after or before)
    assert found.count("\n") == before.count("\n")
    names = {n.module for n in ast.walk(ast.parse(found)) if isinstance(n, ast.ImportFrom) and n.level == 0}
    assert not {"index", "index.types"} & names


@pytest.mark.parametrize(
    "text",
    [
        "import index", "import os, service.cli", "import index.types", "from index \\\n import A\nx = 'service.cli'",
        "M = 'service.cli.main'", "f'service.cli.{x}'", "run('import index.types')", "x = {'afterimage.client': 1}",
        "from \\\n index import A", "import os, index.types as t",
    ],
)  # fmt: skip
def test_what_cannot_be_moved_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(RelocationError, match=r"use __package__ or __name__|write `from package import name`"):
        moved(text)


TRAINING = {"network.npz", "projections.npz", "kernel.c"}  # what only a checkout needs


def test_the_package_names_no_module_of_the_tree_and_every_file_is_there(tmp_path: Path) -> None:
    target = tmp_path / NAMESPACE
    write_package(ROOT, target)
    tree = {"service": ROOT / "service", "index": ROOT / "index", "afterimage": ROOT / "proto/afterimage"}
    for name, folder in tree.items():
        tracked = subprocess.run(
            ["git", "ls-files"], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        wanted = {p for p in tracked if (folder / p).exists() and Path(p).name not in TRAINING}
        packed = {str(p.relative_to(target / name)) for p in (target / name).rglob("*")}
        assert wanted <= packed
        assert not {p for p in packed if Path(p).name in TRAINING}
    code = """if True:
        import sys
        sys.path.insert(0, sys.argv[1])
        from afterimage_server.index import DataDirectory
        from afterimage_server.service.cli.main import application
        from afterimage_server.service.rpc import server
        application()
        print(DataDirectory.__module__, *{"service", "index", "afterimage"} & sys.modules.keys())
    """
    said = subprocess.run([sys.executable, "-Pc", code, tmp_path], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["afterimage_server.index.storage.layout"]


def test_a_module_that_cannot_be_moved_is_named(tmp_path: Path) -> None:
    for folder in ("service", "index", "proto/afterimage"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "service/errors.py").write_text("import index\n")
    with pytest.raises(RelocationError, match=r"^service/errors\.py: line 1: write `from package import name`"):
        write_package(tmp_path, tmp_path / "made")


def test_an_installation_of_the_tree_has_the_command_alone() -> None:
    """`make install` installs the tree itself; `afterimage_server` is then only what the command starts with."""
    import afterimage_server

    assert {p.name for p in Path(afterimage_server.__path__[0]).glob("*.py")} == {"__init__.py", "__main__.py"}


def test_the_server_depends_on_no_distribution_of_this_project_and_the_names_are_ours() -> None:
    found = {}
    for path in ("pyproject.toml", "proto/pyproject.toml"):
        project = tomllib.loads((ROOT / path).read_text())["project"]
        found[project["name"]] = project["dependencies"]
    assert found.keys() == PACKAGES.keys() == {"afterimage-server", "afterimage-client"}
    assert not [d for dependencies in found.values() for d in dependencies if d.startswith("afterimage")]


def test_no_document_and_no_message_names_the_distribution_of_another_project() -> None:
    """`afterimage` on the public index is another project's."""
    # A requirement: the name alone, with extras or a version, in a command or a look-up.
    command = re.compile(r"(?:pip|pipx|uv)[\w ]* (?:install|download|add)[^\n`]*?[ '\"]afterimage(?![\w./-])")
    lookup = re.compile(r"(?:version|requires|distribution|metadata)\(['\"]afterimage['\"]\)")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        path = ROOT / name
        if (
            path.suffix in (".md", ".py", ".toml", ".yaml", ".yml", ".sh", "")
            and path.is_file()
            and path != Path(__file__)
        ):
            text = path.read_bytes().decode(errors="ignore")
            assert not command.search(text), f"{name}: {command.search(text)}"
            assert not lookup.search(text), f"{name}: {lookup.search(text)}"
