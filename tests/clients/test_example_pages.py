"""Each example of another language is short, and a page says how to run it and with which version it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.examples import EXAMPLES, MAX_LINES, SUFFIXES

ROOT = Path(__file__).parents[2]
FOLDERS = sorted({path.parent for path in EXAMPLES.glob("*/*") if path.suffix in SUFFIXES})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_example_is_short_and_says_how_to_run_it(folder: Path) -> None:
    (program,) = (path for path in folder.iterdir() if path.suffix in SUFFIXES)
    text = program.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert "Usage: " in text
    page = (EXAMPLES / "README.md").read_text()
    assert f"| `{folder.name}` |" in page
    assert f"{folder.name}/{program.name}" in page
    assert f"(../examples/{folder.name}/{program.name})" in (ROOT / "docs/clients.md").read_text()


def test_there_is_an_example_for_each_door() -> None:
    assert {folder.name for folder in FOLDERS} >= {"node-fetch", "node-grpc", "php", "ruby", "go", "java"}
