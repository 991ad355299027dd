"""`afterimage snapshots` and `afterimage index`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from afterimage.client import Client
from service.cli.connection import with_client, with_keyed_client
from service.cli.operations.data_directory import DataDirOption, KeyFileOption
from service.cli.output import CommandError, Exit, JsonFlag, print_fields, print_json, print_table
from service.cli.progress import working

snapshots = typer.Typer(no_args_is_help=True, help="Create, restore, verify and delete snapshots of collections.")
index = typer.Typer(no_args_is_help=True, help="Show, verify and rebuild the index of a collection.")


@snapshots.command("create")
@with_keyed_client
def create(client: Client, collection: str, json: JsonFlag = False) -> None:
    """Create a snapshot of a collection, while reads and writes continue. Example: afterimage snapshots create shoes"""
    with working("copying"):
        made = client.create_snapshot(collection)
    if json:
        print_json(asdict(made))
    else:
        print(
            f"Created snapshot {made.snapshot_id}: {made.record_count} records, {made.size_bytes / 1000000.0:.1f} MB."
        )


@snapshots.command("list")
@with_client
def list_(client: Client, collection: str, json: JsonFlag = False) -> None:
    """List the snapshots of a collection, newest first. Example: afterimage snapshots list shoes"""
    found = client.list_snapshots(collection)
    if json:
        print_json({"snapshots": [asdict(s) for s in found]})
        return
    rows = [(s.snapshot_id, s.create_time, s.record_count, f"{s.size_bytes / 1e6:.1f}", s.encoder_id) for s in found]
    print_table(["snapshot", "created", "records", "MB", "encoder"], rows)


@snapshots.command("restore")
@with_keyed_client
def restore(
    client: Client,
    collection: str,
    snapshot_id: str,
    as_: Annotated[
        str, typer.Option("--as", help="Name of the collection to create. Default: that of the snapshot.")
    ] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace the existing collection.")] = False,
    json: JsonFlag = False,
) -> None:
    """Restore a snapshot.

    Example: afterimage snapshots restore shoes 20260102T030405-1a2b3c4d --as shoes-2
    """
    with working("restoring"):
        name, records = client.restore_snapshot(collection, snapshot_id, target=as_, replace=replace)
    if json:
        print_json({"collection": name, "record_count": records})
    else:
        print(f"Restored collection {name} with {records} records from snapshot {snapshot_id}.")


@snapshots.command("verify")
@with_client
def verify(client: Client, collection: str, snapshot_id: str, json: JsonFlag = False) -> None:
    """Verify a snapshot completely. Example: afterimage snapshots verify shoes 20260102T030405-1a2b3c4d"""
    with working("reading"):
        problems = client.verify_snapshot(collection, snapshot_id)
    _report(f"Snapshot {snapshot_id}", problems, as_json=json)


@snapshots.command("delete")
@with_keyed_client
def delete(client: Client, collection: str, snapshot_id: str, json: JsonFlag = False) -> None:
    """Permanently delete a snapshot. Example: afterimage snapshots delete shoes 20260102T030405-1a2b3c4d"""
    client.delete_snapshot(collection, snapshot_id)
    print_json({"snapshot_id": snapshot_id, "deleted": True}) if json else print(f"Deleted snapshot {snapshot_id}.")


@snapshots.command("adopt")
def adopt(
    folder: Annotated[Path, typer.Argument(help="Directory kept-... from another machine.")],
    tenant: Annotated[str, typer.Option(help="Tenant that adopts the snapshot.")],
    tenant_key_file: Annotated[Path, typer.Option(help="Key file of `afterimage tenants export-key`.")],
    as_: Annotated[
        str, typer.Option("--as", help="Name of the collection to create. Default: that of the snapshot.")
    ] = "",
    source_key_file: Annotated[
        Path | None, typer.Option(help="Master key file of the other machine. Default: that of this machine.")
    ] = None,
    data_dir: DataDirOption = None,
    master_key_file: KeyFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Restore a snapshot of another machine. No server may run on the data directory.

    Example: afterimage snapshots adopt kept-20260102T030405-1a2b3c4d --tenant acme --tenant-key-file acme.key
    """
    from service.adoption import ForeignSnapshot, adopt_snapshot
    from service.config import load_settings

    settings = load_settings({"data_dir": data_dir, "master_key_file": master_key_file}).settings
    with working("copying"):
        foreign = ForeignSnapshot(folder, tenant_key_file, source_key_file)
        name, records = adopt_snapshot(settings, foreign, tenant, as_)
    if json:
        print_json({"collection": name, "record_count": records})
    else:
        print(f"Adopted collection {name} of tenant {tenant} with {records} records.")


@index.command("stats")
@with_client
def stats(client: Client, collection: str, json: JsonFlag = False) -> None:
    """Show the structure of the index and its recall. Example: afterimage index stats shoes"""
    found = asdict(client.index_stats(collection))
    if json:
        print_json(found)
    else:
        print_fields({name: "not known yet" if value is None else value for name, value in found.items()})


@index.command("rebuild")
@with_client
def rebuild(client: Client, collection: str, json: JsonFlag = False) -> None:
    """Rebuild the index, while searches continue. Example: afterimage index rebuild shoes"""
    with working("building"):
        built = client.rebuild_index(collection)
    if json:
        print_json({"collection": collection, "built": built})
    else:
        print(
            "Rebuilt the index." if built else "The collection is too small for an index; searches compare all records."
        )


@index.command("verify")
@with_client
def verify_index(client: Client, collection: str, json: JsonFlag = False) -> None:
    """Verify that store, memory and files match. Example: afterimage index verify shoes"""
    with working("reading"):
        problems = client.verify_index(collection)
    _report(f"Collection {collection}", problems, as_json=json)


def _report(what: str, problems: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json({"whole": not problems, "problems": problems})
    else:
        print("\n".join(problems) if problems else f"{what} is intact.")
    if problems and as_json:
        raise typer.Exit(Exit.FAILED)
    if problems:
        raise CommandError(f"{what}: {len(problems)} problems", reason="DAMAGED")
