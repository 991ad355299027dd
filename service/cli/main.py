"""The `afterimage` command: combines the sub-commands, and converts errors to messages and exit codes."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any

import typer

# In the order of the help: the module of each command or group of commands, and its name there.
_COMMANDS = {
    "serve": "operations.serve.serve",
    "worker": "operations.worker.worker",
    "tenants": "operations.tenants.tenants",
    "keys": "operations.keys.keys",
    "collections": "collections.collections.collections",
    "insert": "collections.insert.insert",
    "search": "collections.search.search",
    "searches": "searches.searches.searches",
    "objects": "searches.objects.objects",
    "compare": "collections.compare.compare",
    "duplicates": "collections.duplicates.duplicates",
    "feedback": "collections.feedback.feedback",
    "export": "collections.exchange.export",
    "import": "collections.exchange.import_",
    "records": "collections.records.records",
    "snapshots": "collections.snapshots.snapshots",
    "index": "collections.snapshots.index",
    "sync": "syncs.sync.sync",
    "training": "models.training.training",
    "models": "models.models.models",
    "audit": "operations.audit.audit",
    "erase": "operations.erase.erase",
    "access": "operations.access.access",
    "privacy": "operations.reports.privacy",
    "encoders": "models.encoders.encoders",
    "detectors": "models.detectors.detectors",
    "top": "monitoring.top.top",
    "backup": "operations.backup.backup",
    "store": "operations.store.store",
    "doctor": "operations.doctor.doctor",
}
_HELP = (
    "Self-hosted visual search that stores no pictures.\n\n"
    "Exit codes: 0 success, 1 error (including an invalid setting), 2 wrong usage, 3 some records failed, "
    "4 waits for approval."
)


def application(command: str = "") -> typer.Typer:
    """The whole command line, or only the sub-command named `command`.

    Importing all sub-commands takes longer than most of them run.
    """
    app = typer.Typer(
        name="afterimage", no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, help=_HELP
    )
    app.callback(invoke_without_command=True)(_root)
    for name in [command] if command in _COMMANDS else _COMMANDS:
        found = _load(_COMMANDS[name])
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _load(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"{__package__}.{module}"), name)


def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from afterimage import __version__

        print(__version__)
        raise typer.Exit


def run() -> None:
    """Entry point of the `afterimage` script."""
    command, as_json = next(iter(sys.argv[1:]), ""), "--json" in sys.argv
    if command not in ("serve", "worker"):  # these write it to their log
        from service.config import variable_warnings

        for said in variable_warnings():
            print(f"warning: {said}", file=sys.stderr)
    try:
        application(command)(prog_name="afterimage")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from service.cli.failures import fail

        sys.exit(fail(error, as_json=as_json))


if __name__ == "__main__":
    sys.argv[0] = "afterimage"
    run()
