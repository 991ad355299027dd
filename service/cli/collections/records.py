"""`afterimage records`."""

from __future__ import annotations

import itertools
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from afterimage.client import Client, Patch, Record
from service.cli.connection import with_client
from service.cli.operations.reports import map_
from service.cli.output import (
    CommandError,
    Exit,
    JsonFlag,
    format_attributes,
    print_fields,
    print_hints,
    print_json,
    print_table,
)

records = typer.Typer(no_args_is_help=True, help="Show, update, delete and count records.")
FilterOption = Annotated[str, typer.Option("--filter", help='For example: color = "red" AND price < 50')]


@records.command("get")
@with_client
def get(
    client: Client,
    collection: str,
    record_ids: list[str],
    json: JsonFlag = False,
) -> None:
    """Show records by id. Example: afterimage records get shoes 1 2 3"""
    found, missing = client.get_records(collection, record_ids)
    if json:
        print_json({"records": [_record(r) for r in found], "missing_record_ids": missing})
    else:
        for record in found:
            print_fields(_record(record) | {"attributes": format_attributes(record.attributes)})
            print()
    if missing:
        raise CommandError(
            f"no such record: {', '.join(missing)}", reason="RECORD_NOT_FOUND", code=Exit.SOME_RECORDS_FAILED
        )


@records.command("list")
@with_client
def list_(
    client: Client,
    collection: str,
    filter_: FilterOption = "",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number.")] = 100,
    order_by: Annotated[str, typer.Option(help="Sort by an attribute: price, or price desc.")] = "",
    json: JsonFlag = False,
) -> None:
    """List records. Example: afterimage records list shoes --filter 'price < 50' --order-by price --limit 20"""
    found = list(itertools.islice(client.records(collection, filter=filter_, order_by=order_by), limit))
    if json:
        print_json({"records": [_record(r) for r in found]})
    else:
        rows = [(r.record_id, r.product_id, r.update_time, format_attributes(r.attributes)) for r in found]
        print_table(["record", "product", "updated", "attributes"], rows)
    if filter_ and not found and not json:
        print_hints(client.check_filter(collection, filter_).hints)


@records.command("sample")
@with_client
def sample(
    client: Client,
    collection: str,
    count: Annotated[int, typer.Argument(min=1, max=1000, help="Number of records.")] = 10,
    filter_: FilterOption = "",
    seed: Annotated[int | None, typer.Option(min=0, help="Draw the same records again.")] = None,
    json: JsonFlag = False,
) -> None:
    """Show records drawn uniformly from those that match.

    Example: afterimage records sample shoes 20 --filter 'in_stock = true'
    """
    drawn = client.sample_records(collection, count, filter=filter_, seed=seed)
    if json:
        shown = {"records": [_record(r) for r in drawn.records], "allowed_count": drawn.allowed_count}
        print_json(shown | {"seed": drawn.seed, "filter_hints": drawn.filter_hints})
        return
    rows = [(r.record_id, r.product_id, r.update_time, format_attributes(r.attributes)) for r in drawn.records]
    print_table(["record", "product", "updated", "attributes"], rows)
    print(f"{len(drawn.records)} of {drawn.allowed_count}; --seed {drawn.seed} draws them again")
    print_hints(drawn.filter_hints)


records.command("map")(map_)


@records.command("update")
@with_client
def update(
    client: Client,
    collection: str,
    record_id: str,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="NAME=VALUE; numbers, true, false and a|b|c lists are recognized, NAME:=TEXT is always text.",
        ),
    ] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="Attribute to remove.")] = None,
    product_id: Annotated[str | None, typer.Option(help="New product id.")] = None,
    json: JsonFlag = False,
) -> None:
    """Change attributes, but not the vector.

    Example: afterimage records update shoes 1 --set price=39.5 --remove sale
    """
    changes = dict(_assignment(text) for text in set_ or [])
    patch = Patch(record_id, product_id, changes, tuple(remove or ()))
    result = client.update_records(collection, [patch])[0]
    if result.error is not None:
        raise CommandError(result.error.message, reason=result.error.reason)
    print_json({"record_id": record_id, "outcome": result.outcome}) if json else print(f"{record_id}: {result.outcome}")


@records.command("picture")
@with_client
def picture(
    client: Client,
    collection: str,
    record_id: str,
    minutes: Annotated[int, typer.Option(min=1, max=60, help="Lifetime of the link.")] = 10,
    json: JsonFlag = False,
) -> None:
    """Print a link to the stored picture of a record. The key needs the scope `pictures`.

    Example: afterimage records picture shoes 1042
    """
    link = client.picture_link(collection, record_id, minutes=minutes)
    print_json(asdict(link)) if json else print(link.url)


@records.command("pictures")
@with_client
def pictures(
    client: Client,
    collection: str,
    record_ids: list[str],
    minutes: Annotated[int, typer.Option(min=1, max=60, help="Lifetime of the links.")] = 10,
    json: JsonFlag = False,
) -> None:
    """Print links to the stored pictures of records. The key needs the scope `pictures`.

    Example: afterimage records pictures shoes 1042 1043
    """
    found = client.picture_links(collection, record_ids, minutes=minutes)
    if json:
        print_json(asdict(found))
    else:
        for link in found.links:
            print(f"{link.record_id}: {link.error.message if link.error else link.url}")
    if any(link.error for link in found.links):
        raise CommandError("some pictures have no link", reason="PICTURE_NOT_FOUND", code=Exit.SOME_RECORDS_FAILED)


@records.command("delete")
@with_client
def delete(
    client: Client,
    collection: str,
    record_ids: Annotated[list[str] | None, typer.Argument(help="Record ids, or use --filter.")] = None,
    filter_: FilterOption = "",
    force: Annotated[bool, typer.Option("--force", help="Delete. Default: dry run.")] = False,
    json: JsonFlag = False,
) -> None:
    """Delete records by id or by filter. Example: afterimage records delete shoes --filter 'season = "2019"' --force"""
    if bool(record_ids) == bool(filter_):
        raise CommandError("pass either record ids or --filter", code=Exit.USAGE)
    done = client.delete_records(collection, record_ids or (), filter=filter_, force=force)
    if json:
        print_json(asdict(done))
    elif done.deleted:
        print(f"Deleted {done.record_count} records.")
    else:
        sample = f" ({', '.join(done.sample_record_ids[:5])}, …)" if done.record_count else ""
        print(f"Dry run: this would delete {done.record_count} records{sample}. Pass --force to delete.")
    if not json:
        print_hints(done.filter_hints)
        if done.missing_record_ids:
            print(f"no such record: {', '.join(done.missing_record_ids)}", file=sys.stderr)


@records.command("count")
@with_client
def count(
    client: Client,
    collection: str,
    filter_: FilterOption = "",
    json: JsonFlag = False,
) -> None:
    """Count matching records. Example: afterimage records count shoes --filter 'color = "red"'"""
    found = client.check_filter(collection, filter_)
    if json:
        print_json(asdict(found))
        return
    print(found.record_count)
    print_hints(found.hints)


def _record(record: Record) -> dict[str, Any]:
    fields = asdict(record)
    fields.pop("vector")
    return fields


def _assignment(text: str) -> tuple[str, str | float | bool | tuple[str, ...]]:
    name, separator, value = text.partition("=")
    if not separator:
        raise CommandError(f"--set {text!r}: not NAME=VALUE", code=Exit.USAGE)
    if name.endswith(":"):
        return name[:-1], value
    if value in ("true", "false"):
        return name, value == "true"
    try:
        return name, float(value)
    except ValueError:
        return name, tuple(value.split("|")) if "|" in value else value
