"""`afterimage store`: works on a data directory while no server runs on it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.operations.data_directory import DataDirOption, KeyFileOption
from service.cli.output import CommandError, JsonFlag, print_json
from service.config import load_settings

if TYPE_CHECKING:
    from service.composition.store_copy import CopiedRecords
    from service.settings.model import Settings

store = typer.Typer(no_args_is_help=True, help="Where the records of a data directory are kept.")


class Target(StrEnum):
    """Where the records go."""

    POSTGRESQL = "postgresql"
    DIRECTORY = "directory"


@store.command("copy")
def copy(
    to: Annotated[Target, typer.Option("--to", help="postgresql: the database at store_url. directory: back.")],
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    json: JsonFlag = False,
) -> None:
    """Copy tenants, lists of collections and records to PostgreSQL, or back, and compare each row. No server may run on
    the directory; for the way back, on no directory with the same tenants.

    The target then has the truth. After an interruption, run it again to continue. Needs the setting store_url.
    Example: afterimage store copy --to postgresql --data-dir data
    """
    settings = load_settings({"data_dir": data_dir, "master_key_file": master_key_file}, config).settings
    copied = []
    for one in _copied(settings, to):
        copied.append(one)
        if not json:
            print(f"{one.tenant}: {one.collection}: {one.records} records copied and compared")
    if json:
        print_json({"collections": [one._asdict() for one in copied]})
    elif to is Target.POSTGRESQL:
        print(f"Copied {len(copied)} collections. Keep store_url set for the server.")
    else:
        print(f"Copied {len(copied)} collections. Unset store_url for the server.")


def _copied(settings: Settings, to: Target) -> Iterator[CopiedRecords]:
    from index import AfterimageIndexError
    from service.composition.store_copy import copy_records

    try:
        yield from copy_records(settings, to_database=to is Target.POSTGRESQL)
    except AfterimageIndexError as error:
        raise CommandError(str(error), reason="STORE_UNAVAILABLE") from error
