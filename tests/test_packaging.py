import ast
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from types import ModuleType

import pytest

import afterimage.client
import index

ROOT = Path(__file__).parents[1]


def test_no_foreign_distribution_owns_the_flat_package_names() -> None:
    owners = packages_distributions()
    for name, owner in (("service", None), ("index", None), ("afterimage_server", "afterimage-server")):
        assert set(owners.get(name, [])) <= {owner}, owners[name]
    assert set(owners.get("afterimage", [])) <= {"afterimage-client"}
    assert not (ROOT / "proto" / "__init__.py").exists()


def test_no_foreign_package_hides_the_tests_from_the_processes_that_they_start() -> None:
    code = "import tests, pathlib; print(pathlib.Path(tests.__file__).resolve().parent)"
    command = [sys.executable, "-Psc", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout
    assert Path(found.strip()) == ROOT / "tests", "make install removes the one of ximilar-client"


def test_the_client_distribution_depends_on_grpcio_and_protobuf_alone() -> None:
    assert sorted(r.split(">")[0] for r in requires("afterimage-client") or []) == ["grpcio", "protobuf"]


@pytest.mark.parametrize("module", [index, afterimage.client], ids=lambda m: m.__name__)
def test_a_package_exports_what_it_says_and_says_what_it_exports(module: ModuleType) -> None:
    assert sorted(module.__all__, key=lambda name: (not name.isupper(), name)) == module.__all__  # constants first
    for name in module.__all__:
        assert getattr(module, name) is not None
    imported = {n for n, v in vars(module).items() if not n.startswith("_") and not isinstance(v, ModuleType)}
    assert imported == set(module.__all__)


def test_only_config_and_process_read_the_environment() -> None:
    for path in (ROOT / "service").rglob("*.py"):
        if path.name in ("config.py", "process.py", "embedded.py"):
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        set_there = {id(n.value) for n in nodes if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store)}
        read = {n.attr for n in nodes if isinstance(n, ast.Attribute) and id(n) not in set_there}
        assert not {"environ", "getenv"} & read, path


def test_every_module_and_public_name_says_what_it_is() -> None:
    for folder in ("service", "index", "proto/afterimage/client"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text())
            assert ast.get_docstring(tree), path
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    assert ast.get_docstring(node), f"{path}: {node.name}"


def test_every_test_folder_is_a_package() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert (path.parent / "__init__.py").exists()
