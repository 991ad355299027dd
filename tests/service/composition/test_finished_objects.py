"""Constructors finish their objects: whoever puts parts together sets nothing on them afterwards."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import service

_ROOT = Path(service.__file__).parent
_COMPOSING = (*sorted((_ROOT / "composition").glob("*.py")), _ROOT / "worker.py", _ROOT / "adoption.py")


def set_from_outside(tree: ast.AST) -> Iterator[str]:
    """Attributes, and items of attributes, that are set on another object than `self`."""
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            for part in ast.walk(target) if target is not None else ():
                if isinstance(part, ast.Subscript):
                    part = part.value
                    if not isinstance(part, ast.Attribute):
                        continue
                elif not isinstance(part, ast.Attribute) or not isinstance(part.ctx, ast.Store):
                    continue
                if not (isinstance(part.value, ast.Name) and part.value.id == "self"):
                    yield ast.unparse(part)


@pytest.mark.parametrize("path", _COMPOSING, ids=lambda p: str(p.relative_to(_ROOT)))
def test_nothing_is_set_on_a_part_after_it_was_made(path: Path) -> None:
    assert list(set_from_outside(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("guard.certificates = made", ["guard.certificates"]),
        ("a = guard.certificates = made", ["guard.certificates"]),
        ("x, guard.certificates = made", ["guard.certificates"]),
        ("links.openers['picture'] = read", ["links.openers"]),
        ("self.links.base: str = ''", ["self.links.base"]),
        ("links.count += 1", ["links.count"]),
        ("self.links = links", []),
        ("links = {}; links['a'] = 1", []),
    ],
)
def test_the_rule_sees_what_it_is_for(code: str, found: list[str]) -> None:
    assert list(set_from_outside(ast.parse(code))) == found
