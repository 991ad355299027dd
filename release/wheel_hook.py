"""Builds the wheel of the server: one package, `afterimage_server`, with the packages of the tree below it.

Hatchling runs `WheelHook` for each build (`pyproject.toml`). It copies `service`, `index` and the client's
`afterimage`, and puts `afterimage_server.` before each absolute import of one of them. The imports of the result are
compared with those of the original. A string that names a module fails the build: code derives such names from
`__package__`. docs/decisions/0055-one-package-in-the-wheel.md has the reasons. This file imports nothing of the tree,
since a build from a source distribution cannot.
"""

from __future__ import annotations

import ast
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAMESPACE = "afterimage_server"
# The packages that the wheel contains, and where they are in the tree.
PACKAGES = {"service": "service", "index": "index", "afterimage": "proto/afterimage"}
# What only `make encoder` and `make encoder-train` read, in a checkout: six megabytes, and a program in C.
_LEFT_OUT = ("__pycache__", "*.py[co]", ".*", "network.npz", "projections.npz", "kernel.c")
_WIRE_NAMES = "afterimage.v1"  # the package of the protos; its strings are names of calls and messages
_IMPORT = re.compile(rb"((?:from|import)\s+)\w")
_UNUSUAL = "an import is written in an unusual way: write `from package import name` on one line"
_Import = ast.Import | ast.ImportFrom
_DOTTED = re.compile(rf"(?<![\w./])(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
_INIT = f'''"""The Afterimage server: `{NAMESPACE}.service`, and the library of collections, `{NAMESPACE}.index`."""
'''
_MAIN = '''"""The command `afterimage`, also as `python -m afterimage_server`."""

from service.cli.main import run

if __name__ == "__main__":
    run()
'''


class RelocationError(Exception):
    """A module that cannot be moved below `afterimage_server`; `str()` names it and the remedy."""


class WheelHook(BuildHookInterface[Any]):
    """Adds `afterimage_server` to the wheel; in an editable installation only its command, which uses the tree."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before a build. Raises RelocationError."""
        self._folder = tempfile.TemporaryDirectory(prefix="afterimage-wheel-")
        package = Path(self._folder.name) / NAMESPACE
        if version == "editable":
            _write_front(package)
        else:
            write_package(Path(self.root), package)
        build_data["force_include_editable" if version == "editable" else "force_include"][str(package)] = NAMESPACE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by hatchling after a build."""
        self._folder.cleanup()


def write_package(root: Path, target: Path) -> None:
    """Writes the whole package. root: of the tree; target: a folder that does not exist. Raises RelocationError."""
    for name, folder in PACKAGES.items():
        shutil.copytree(root / folder, target / name, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    modules = {name for package in PACKAGES for name in _module_names(target / package)}
    _write_front(target, relocate=modules)
    for path in sorted([*target.glob("*/**/*.py"), *target.glob("*/**/*.pyi")]):
        try:
            path.write_bytes(relocated(path.read_bytes(), modules))
        except RelocationError as error:
            raise RelocationError(f"{path.relative_to(target)}: {error}") from None


def relocated(source: bytes, modules: Set[str]) -> bytes:
    """A module with its absolute imports of PACKAGES below NAMESPACE; nothing else changes.

    source: UTF-8. modules: the names of all modules of PACKAGES. Raises RelocationError.
    """
    nodes = list(ast.walk(ast.parse(source)))
    _refuse_names(nodes, modules)
    imports = _imports(nodes)
    lines = source.splitlines(keepends=True)
    for node in filter(_is_ours, imports):
        lines[node.lineno - 1] = _prefixed(lines[node.lineno - 1], node)
    result = b"".join(lines)
    if [_prefixed_names(n) for n in imports] != [_names(n) for n in _imports(ast.walk(ast.parse(result)))]:
        raise RelocationError(_UNUSUAL)
    return result


def _write_front(package: Path, relocate: Set[str] | None = None) -> None:
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text(_INIT)
    (package / "py.typed").touch()
    main = _MAIN.encode()
    (package / "__main__.py").write_bytes(main if relocate is None else relocated(main, relocate))


def _module_names(package: Path) -> Iterator[str]:
    for path in package.rglob("*.py"):
        yield ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")


def _refuse_names(nodes: Sequence[ast.AST], modules: Set[str]) -> None:
    """Raises RelocationError where a string that is no docstring, or a part of an f-string, names a module."""
    docstrings = {id(n.value) for n in nodes if isinstance(n, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            for found in _DOTTED.findall(node.value):
                named = ".".join(found.split(".")[:2])
                if named in modules and named != _WIRE_NAMES:
                    where = f"line {node.lineno}: a string names the module {found}"
                    raise RelocationError(f"{where}: use __package__ or __name__")


def _imports(nodes: Iterable[ast.AST]) -> list[_Import]:
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def _is_ours(node: _Import) -> bool:
    return any(_is_of_tree(name) for name, _ in _names(node))


def _is_of_tree(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _names(node: _Import) -> list[tuple[str, object]]:
    """Each module that is imported, and what else the statement says of it."""
    if isinstance(node, ast.Import):
        return [(alias.name, alias.asname) for alias in node.names]
    return [("." * node.level + (node.module or ""), [(alias.name, alias.asname) for alias in node.names])]


def _prefixed_names(node: _Import) -> list[tuple[str, object]]:
    return [(f"{NAMESPACE}.{name}" if _is_of_tree(name) else name, rest) for name, rest in _names(node)]


def _prefixed(line: bytes, node: _Import) -> bytes:
    if isinstance(node, ast.Import) and any(alias.asname is None for alias in node.names):
        raise RelocationError(f"line {node.lineno}: write `from package import name` or `import package.name as name`")
    found = _IMPORT.match(line, node.col_offset)  # in bytes of UTF-8
    if found is None:
        raise RelocationError(f"line {node.lineno}: {_UNUSUAL}")
    at = found.end(1)
    return line[:at] + f"{NAMESPACE}.".encode() + line[at:]
