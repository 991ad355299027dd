"""How far the code of the service reaches through other objects: chains such as `a.b.c.d` stay few."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import service

CEILING = 22  # lower it when there are fewer; most that are left read generated messages or an error's code


def chains(source: str) -> Iterator[str]:
    """Yields attribute chains of three dots and more that begin at a value, without a leading `self`."""
    nodes = list(ast.walk(ast.parse(source)))
    imports = [n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
    modules = {(alias.asname or alias.name).split(".")[0] for n in imports for alias in n.names}
    attributes = [n for n in nodes if isinstance(n, ast.Attribute)]
    inner = {id(n.value) for n in attributes}
    for node in attributes:
        if id(node) not in inner:
            names = names_of(node)
            if names and names[0] not in modules:
                names = names[1:] if names[0] in ("self", "cls") else names
                if len(names) >= 4:
                    yield ".".join(names)


def names_of(node: ast.expr) -> list[str]:
    """The names of a chain; empty if it begins at something that has no name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []


def test_few_places_reach_through_three_objects() -> None:
    root = Path(service.__file__).parent
    found = {str(p.relative_to(root)): list(chains(p.read_text())) for p in root.rglob("*.py")}
    assert sum(map(len, found.values())) <= CEILING, {name: c for name, c in found.items() if c}


def test_a_chain_is_counted_once_and_modules_and_self_do_not_count() -> None:
    source = "import os\nos.a.b.c.d\nself.a.b.c\nself.a.b.c.d()\nx.a.b.c = y.a.b.c.d\nf().a.b.c.d\n"
    assert sorted(chains(source)) == ["a.b.c.d", "x.a.b.c", "y.a.b.c.d"]
