"""Measures the prose of the docstrings: words per sentence, and the worst twenty sentences (`make prose-check`).

Reads the docstrings of public modules, classes and functions in `ROOTS`. Fails if the average of a room exceeds
`prose.AVERAGE` words, or one of its sentences `prose.LONGEST`. A room is a folder directly below a root.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from docs import prose

ROOT = Path(__file__).parents[1]
ROOTS = ("service", "index")
# Rooms whose longest sentences are still above the limit. Only their average can fail. Remove a room once it passes.
ALLOWED: frozenset[str] = frozenset()


def docstrings(source: str) -> Iterator[tuple[str, str]]:
    """Yields the name and the docstring of the module ("") and of each public class and function in it."""
    yield from _of("", ast.parse(source))


def _of(name: str, node: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        text = ast.get_docstring(node, clean=False)
        if text:
            yield name, inspect.cleandoc(text)
    if isinstance(node, ast.Module | ast.ClassDef):
        for child in node.body:
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and child.name[0] != "_":
                yield from _of(f"{name}.{child.name}".lstrip("."), child)


def room_of(path: Path) -> str:
    """The room of a module, relative to the root of the project: `service/intake` or `index`."""
    return "/".join(path.relative_to(ROOT).parts[:-1][:2])


def measured() -> dict[str, list[prose.Measured]]:
    """Maps each room to its sentences."""
    rooms: dict[str, list[prose.Measured]] = {}
    for path in sorted(path for root in ROOTS for path in (ROOT / root).rglob("*.py")):
        found = rooms.setdefault(room_of(path), [])
        for name, text in docstrings(path.read_text(encoding="utf-8")):
            where = f"{path.relative_to(ROOT)}:{name}".rstrip(":")
            found += [(s.words, where, s.text) for s in prose.sentences(text) if s.words]
    return {room: found for room, found in rooms.items() if found}


def main() -> int:
    """Prints the figures. Returns 1 when a room is above a limit, else 0."""
    return prose.report(measured(), ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
