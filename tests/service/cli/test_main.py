"""The command imports only the requested part."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from service.cli import main

WHOLE = typer.main.get_command(main.application())


@pytest.mark.parametrize("name", WHOLE.commands)  # type: ignore[attr-defined]
def test_a_command_by_itself_is_what_it_is_among_all(name: str) -> None:
    alone = typer.main.get_group(main.application(name))
    assert list(alone.commands) == [name]
    among_all = WHOLE.commands[name]  # type: ignore[attr-defined]
    assert getattr(alone.commands[name], "commands", {}).keys() == getattr(among_all, "commands", {}).keys()
    assert [p.opts for p in alone.commands[name].params] == [p.opts for p in among_all.params]


@pytest.mark.parametrize(("name", "unneeded"), [("serve", "afterimage.client"), ("keys", "service.cli.syncs.sync")])
def test_what_a_command_does_not_need_is_not_imported(name: str, unneeded: str) -> None:
    said = f"from service.cli.main import application; application({name!r}); import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout.split()
    assert "service.cli.main" in loaded
    assert unneeded not in loaded
