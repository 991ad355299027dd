"""`afterimage backup`: works on a data directory, whether or not a server runs on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.operations.data_directory import DataDirOption, KeyFileOption
from service.cli.output import CommandError, JsonFlag, print_json
from service.config import load_settings


def backup(
    target: Annotated[Path, typer.Argument(help="New folder for the copy.")],
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Copy the data directory to a new folder, while the server runs on it. All is as at one moment, and is checked.

    The copy contains neither the master key nor what is in a bucket. Restore it by copying it back. Example: afterimage
    backup /backup/2026-01-02 --data-dir data
    """
    import contextlib

    from index import DataDirectory
    from service.composition.data_directory import master_key_of, open_registry
    from service.composition.directory_copy import copy_directory
    from service.composition.file_copier import BackupFailed

    settings = load_settings({"data_dir": data_dir, "master_key_file": master_key_file}).settings
    with contextlib.closing(open_registry(settings)) as registry:
        try:
            done = copy_directory(DataDirectory(settings.data_dir), registry, master_key_of(settings), target)
        except BackupFailed as error:
            raise CommandError(str(error), reason="BACKUP_FAILED") from error
    if json:
        print_json({"folder": str(target), "databases": done.databases, "files": done.files, "bytes": done.bytes,
                    "left_out": list(done.left_out)})  # fmt: skip
        return
    print(f"Copied {done.files} files ({done.bytes / 1e6:.1f} MB) to {target} and checked {done.databases} databases.")
    for uid in done.left_out:
        print(f"left out tenants/{uid}, of which the registry has no key")
