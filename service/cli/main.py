"""The `afterimage` command: puts the sub-commands together and turns errors into messages and exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from afterimage.client import AfterimageError, InternalError, Unavailable
from service.cli.access import access
from service.cli.audit import audit
from service.cli.collections import collections
from service.cli.doctor import doctor
from service.cli.encoders import encoders
from service.cli.erase import erase
from service.cli.exchange import export, import_
from service.cli.insert import insert
from service.cli.keys import keys
from service.cli.migrate import exchange, migrate
from service.cli.models import models
from service.cli.output import CommandError, fail
from service.cli.records import records
from service.cli.search import search
from service.cli.serve import serve
from service.cli.snapshots import index, snapshots
from service.cli.sync import sync
from service.cli.tenants import tenants
from service.cli.training import training
from service.cli.worker import worker
from service.config import unknown_variables
from service.errors import ServiceError, SettingError

app = typer.Typer(
    name="afterimage",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Self-hosted visual search that keeps no picture.\n\n"
    "Exit codes: 0 done, 1 failed (a setting that cannot be used included), 2 wrong usage, 3 some records failed, "
    "4 waits for approval.",
)
app.command("serve")(serve)
app.command("worker")(worker)
app.add_typer(tenants, name="tenants")
app.add_typer(keys, name="keys")
collections.command("migrate")(migrate)
collections.command("exchange")(exchange)
app.add_typer(collections, name="collections")
app.command("insert")(insert)
app.command("search")(search)
app.command("export")(export)
app.command("import")(import_)
app.add_typer(records, name="records")
app.add_typer(snapshots, name="snapshots")
app.add_typer(index, name="index")
app.add_typer(sync, name="sync")
app.add_typer(training, name="training")
app.add_typer(models, name="models")
app.add_typer(audit, name="audit")
app.add_typer(erase, name="erase")
app.add_typer(access, name="access")
app.add_typer(encoders, name="encoders")
app.command("doctor")(doctor)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from importlib.metadata import version as distribution_version

        print(distribution_version("afterimage"))
        raise typer.Exit


def run() -> None:
    """Entry point of the `afterimage` script."""
    as_json = "--json" in sys.argv
    if sys.argv[1:2] not in (["serve"], ["worker"]):  # these say it in their log
        for said in unknown_variables():
            print(f"warning: {said}", file=sys.stderr)
    try:
        app(prog_name="afterimage")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        failure = _as_command_error(error)
        if failure is None:
            raise
        fail(failure, as_json=as_json)
        sys.exit(failure.code)


def _as_command_error(error: Exception) -> CommandError | None:
    """What to say of an expected failure; None for a fault of the program."""
    from index.errors import AfterimageIndexError

    if isinstance(error, CommandError):
        return error
    if isinstance(error, Unavailable) and not error.reason:
        return CommandError(
            f"{error.message} (is the server running, and AFTERIMAGE_TARGET right?)", reason="UNAVAILABLE"
        )
    if isinstance(error, AfterimageError):
        hint = f" (field {error.field})" if error.field and error.field not in error.message else ""
        if isinstance(error, InternalError) and error.request_id and error.request_id not in error.message:
            hint += f" (request id {error.request_id})"
        return CommandError(f"{error.message}{hint}", reason=error.reason or type(error).__name__.upper())
    if isinstance(error, ServiceError):
        return CommandError(error.message, reason=error.reason.name)
    if isinstance(error, SettingError):
        return CommandError(str(error), reason="SETTING_INVALID")
    if isinstance(error, AfterimageIndexError):
        return CommandError(str(error), reason=type(error).__name__.upper())
    if isinstance(error, OSError):
        return CommandError(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), reason="OS_ERROR")
    return None


if __name__ == "__main__":
    sys.argv[0] = "afterimage"
    run()
