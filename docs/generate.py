"""Writes the generated documents: `make docs`; with --check, compares instead (`make docs-check`).

docs/cli.md comes from the commands' own help, docs/architecture.svg and docs/rooms.md from the code,
docs/reference/ from the docstrings, service/web/api/openapi.json and docs/http-calls.md from the protos and the table
of paths, docs/reliability.md from the last results of `make reliability` and `make bench-hostile`, docs/mutation.md
from that of `make mutation`. In docs/privacy.md the tables of what can be read out of vectors come from that of
`make bench-inversion`, and in docs/benchmarks.md the ten figures and the origin of all come from bench/results,
as does the table of `make bench-calls`; the rest of these two pages is written by hand.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from bench.calls import document as calls
from bench.inversion import document as inversion
from bench.mutation import document
from bench.mutation.result import RESULT as MUTATION_RESULT
from docs import benchmark_page, drawing, http_calls, openapi, reference_pages, reliability_page, rooms
from service.cli.main import application

FOLDER = Path(__file__).parent
HEAD = """# The `afterimage` command

`make docs` generates this page from the commands' help. Every command has `--help`; commands that print a result have
`--json`. With `--json` an error also prints `{"error": {"reason", "message"}}` on standard output.

| exit code | meaning |
|---|---|
| 0 | success |
| 1 | error, or an invalid setting; one line on standard error gives the reason |
| 2 | wrong usage |
| 3 | success, but some records failed; they are listed |
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


def render_commands() -> str:
    """docs/cli.md."""
    root = typer.main.get_command(application())
    return HEAD + "\n" + "\n".join(section(name, command) for name, command in commands(root, "afterimage"))


def _benchmarks() -> str:
    page = benchmark_page.render((FOLDER / "benchmarks.md").read_text())
    return calls.render(page) if calls.RESULT.exists() else page


DOCUMENTS = {"cli.md": render_commands, "architecture.svg": drawing.render, "rooms.md": rooms.render}
DOCUMENTS |= {"../service/web/api/openapi.json": openapi.render, "http-calls.md": http_calls.render}
DOCUMENTS |= {page: functools.partial(reference_pages.render, *what) for page, what in reference_pages.PAGES.items()}
if reliability_page.RESULT.exists():
    DOCUMENTS["reliability.md"] = reliability_page.render
if MUTATION_RESULT.exists():
    DOCUMENTS["mutation.md"] = document.render
if inversion.RESULT.exists():
    DOCUMENTS["privacy.md"] = lambda: inversion.render((FOLDER / "privacy.md").read_text())
DOCUMENTS["benchmarks.md"] = _benchmarks


def main() -> int:
    """Returns the exit code."""
    stale = []
    for name, render in DOCUMENTS.items():
        target, text = FOLDER / name, render()
        if "--check" not in sys.argv[1:]:
            target.parent.mkdir(exist_ok=True)
            target.write_text(text)
        elif not target.exists() or target.read_text() != text:
            stale.append(name)
    if stale:
        print(f"not current: {', '.join(stale)}; run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
