"""Writes docs/cli.md from the commands' own help: `make docs`; with --check, compares instead (`make docs-check`)."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from service.cli.main import app

TARGET = Path(__file__).with_name("cli.md")
HEAD = """# The `afterimage` command

Made by `make docs` from the commands' own help. Every command takes `--help`; those that print a result take `--json`.
With `--json` a failure prints `{"error": {"reason", "message"}}` on standard output as well.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed, or a setting cannot be used; one line on standard error says why |
| 2 | wrong usage |
| 3 | done, but some records failed; they are listed |
| 4 | a sync waits for approval |
"""


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """All leaf commands with their full names."""
    for name, child in command.commands.items():
        if hasattr(child, "commands"):
            yield from commands(child, f"{path} {name}")
        else:
            yield f"{path} {name}", child


def section(name: str, command: Any) -> str:
    """One command: usage, what it does, its options."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join([name, *(_shown(a) for a in arguments), "[OPTIONS]"])
    lines = [f"## {name}", "", f"`{usage}`", "", inspect.cleandoc(command.help or ""), ""]
    if options:
        lines += ["| option | meaning |", "|---|---|"]
        lines += [f"| `{', '.join(o.opts + o.secondary_opts)}` | {_cell(o)} |" for o in options]
        lines.append("")
    return "\n".join(lines)


def _shown(argument: Any) -> str:
    name = argument.name.upper() + ("…" if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _cell(option: Any) -> str:
    text = (option.help or "").replace("|", "\\|")
    default = option.default
    shown = default not in (None, "", False, True, []) and not callable(default)
    return f"{text} Default: {default}." if shown else text


def render() -> str:
    """The whole document."""
    root = typer.main.get_command(app)
    return HEAD + "\n" + "\n".join(section(name, command) for name, command in commands(root, "afterimage"))


def main() -> int:
    """Returns the exit code."""
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(render())
        return 0
    if not TARGET.exists() or TARGET.read_text() != render():
        print("docs/cli.md is not current; run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
