"""The walks through the code in docs/architecture.md name modules and values that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text()
ROW = re.compile(r"^\| (\d+) \| `([\w/]+\.py)` \| .* \| `(\w+)` \|$", re.MULTILINE)
WALKS = {section.split("\n", 1)[0]: ROW.findall(section) for section in TEXT.split("\n## ") if ROW.search(section)}
HOPS = [(walk, module, value) for walk, hops in WALKS.items() for _, module, value in hops]


def known_names(module: Path) -> set[str]:
    """The names that a module defines or imports at its top level."""
    names = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def test_there_is_a_walk_of_a_picture_a_record_a_query_and_a_feed_item() -> None:
    assert list(WALKS) == ["A picture", "A record", "A query", "A feed item"]


@pytest.mark.parametrize("walk", WALKS)
def test_a_walk_has_at_most_eight_steps_in_order(walk: str) -> None:
    assert [number for number, _, _ in WALKS[walk]] == [str(n + 1) for n in range(len(WALKS[walk]))]
    assert len(WALKS[walk]) <= 8


@pytest.mark.parametrize(("walk", "module", "value"), HOPS, ids=[f"{m}:{v}" for _, m, v in HOPS])
def test_the_value_of_a_step_is_known_to_its_module(walk: str, module: str, value: str) -> None:
    assert value in known_names(ROOT / module)


def test_a_query_has_five_shapes_inside_the_index_and_one_before_it() -> None:
    shapes: dict[str, str] = {}
    for _, module, value in WALKS["A query"]:
        if value[0].isupper():
            shapes.setdefault(value, module.partition("/")[0])
    assert [name for name, room in shapes.items() if room == "service"] == ["Encoded", "SearchQuery"]
    assert list(shapes)[1:] == ["SearchQuery", "Query", "Plan", "Hits", "SearchAnswer"]


def test_every_path_that_is_named_exists() -> None:
    for path in re.findall(r"`((?:index|service)/[\w/.]+)`", TEXT):
        assert (ROOT / path).exists(), path
