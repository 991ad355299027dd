"""Every command that creates or starts something has --idempotency-key."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import service.cli
from service.calls.methods import METHODS
from service.calls.repetition.keyed_call import takes_key

KEYED = {re.sub(r"(?<!^)(?=[A-Z])", "_", m.row.name).lower() for m in METHODS.values() if takes_key(m)}


def commands() -> Iterator[tuple[str, str, set[str]]]:
    """Name, decorator and called methods of the client, of each command that has a client."""
    for path in Path(service.cli.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                names = {d.id for d in node.decorator_list if isinstance(d, ast.Name)}
                for decorator in names & {"with_client", "with_keyed_client"}:
                    yield f"{path.stem}.{node.name}", decorator, _called(node)


def _called(node: ast.FunctionDef) -> set[str]:
    return {
        found.attr
        for found in ast.walk(node)
        if isinstance(found, ast.Attribute) and isinstance(found.value, ast.Name) and found.value.id == "client"
    }


def test_commands_with_such_calls_have_the_option() -> None:
    without = {name: called & KEYED for name, decorator, called in commands() if decorator == "with_client"}
    assert {name: called for name, called in without.items() if called} == {}


def test_each_such_call_has_a_command() -> None:
    called = {method for _, _, names in commands() for method in names}
    assert KEYED - called == set()
