"""Writes docs/rooms.md: every folder of the code, what belongs there, in the words of its docstring."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOPS = ("index", "service", "bench", "tests")
MOST_MODULES = 16  # of one folder; a test holds every folder to it
HEAD = """# Rooms of the code

`make docs` generates this page from the docstring of each `__init__.py`. [Architecture](architecture.md) describes how
the rooms work together, and where a new part goes.

| room | what belongs there |
|---|---|
"""


def folders() -> list[Path]:
    """All packages of the code, relative to the root, in order of their paths."""
    found = (path.parent for top in TOPS for path in (ROOT / top).rglob("__init__.py"))
    return sorted(path.relative_to(ROOT) for path in found)


def modules(folder: Path) -> list[str]:
    """Names of the modules of a folder, without `__init__`."""
    return sorted(path.stem for path in (ROOT / folder).glob("*.py") if path.stem != "__init__")


def purpose(folder: Path) -> str:
    """The docstring of a folder on one line; empty where there is none."""
    docstring = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text())) or ""
    return " ".join(" ".join(p for p in docstring.split("\n\n") if not p.startswith("    ")).split())


def render() -> str:
    """docs/rooms.md."""
    shown = [folder for folder in folders() if folder.parts[0] in ("index", "service", "bench")]
    rows = (f"| `{folder}` | {purpose(folder).replace('|', chr(92) + '|')} |" for folder in shown)
    return HEAD + "\n".join(rows) + "\n"
