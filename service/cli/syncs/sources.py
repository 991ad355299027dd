"""`afterimage sync sources`: the feeds of collections."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from afterimage.client import Client, FeedOptions, NewSource, Source
from service.cli.connection import with_client, with_keyed_client
from service.cli.output import CommandError, Exit, JsonFlag, print_fields, print_json, print_table

sources = typer.Typer(no_args_is_help=True, help="Add, update and delete the feeds that collections follow.")

_ATTRIBUTE = re.compile(r"attributes\.([a-z][a-z0-9_]*)")
FormatOption = Annotated[
    str, typer.Option("--format", help="xml, table, shopify-csv, shopify-json, json or jsonl. Default: detected.")
]
EncodingOption = Annotated[str, typer.Option(help="For example cp1252. Default: detected.")]
DelimiterOption = Annotated[str, typer.Option(help="Delimiter of a table. Default: detected.")]
MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", help="id=COLUMN, product_id=COLUMN, picture=COLUMN or attributes.NAME=COLUMN[:TYPE]."),
]
AuthorizationOption = Annotated[
    Path | None,
    typer.Option("--authorization-file", help="File with the Authorization header for the feed, such as `Bearer ...`."),
]
CronOption = Annotated[str | None, typer.Option(help="Schedule of runs, such as '15 * * * *'.")]
ZoneOption = Annotated[str | None, typer.Option(help="Time zone of --cron, such as Europe/Berlin.")]
ModeOption = Annotated[str | None, typer.Option(help="replace (delete records missing in the feed) or update_only.")]
CheckOption = Annotated[str | None, typer.Option(help="When to check pictures: changed (URL changed) or always.")]
DeleteShareOption = Annotated[float | None, typer.Option(help="Maximum share of records to delete without approval.")]
DeletesOption = Annotated[int | None, typer.Option(help="Maximum number of records to delete without approval.")]
ProblemShareOption = Annotated[float | None, typer.Option(help="Maximum share of unusable items without approval.")]
ItemsShareOption = Annotated[
    float | None, typer.Option(help="Minimum number of items without approval, as a share of the last run's.")
]
HookOption = Annotated[str | None, typer.Option(help="URL that receives a POST when a run ends or waits for approval.")]
HookFileOption = Annotated[Path | None, typer.Option(help="File with the secret that signs webhooks.")]


def options_of(format_: str, encoding: str, delimiter: str, mapping: list[str] | None) -> FeedOptions:
    """The feed options from a command's options. Raises CommandError."""
    found: dict[str, Any] = {"record_id": "", "product_id": "", "pictures": [], "attributes": {}}
    for text in mapping or ():
        name, separator, column = text.partition("=")
        attribute = _ATTRIBUTE.fullmatch(name)
        if not separator or not column:
            raise CommandError(f"--map {text}: must be NAME=COLUMN", reason="USAGE", code=Exit.USAGE)
        if attribute:
            source, _, kind = column.rpartition(":") if ":" in column else (column, "", "text")
            found["attributes"][attribute[1]] = (source, kind)
        elif name == "picture":
            found["pictures"].append(column)
        elif name in ("id", "product_id"):
            found["record_id" if name == "id" else name] = column
        else:
            message = f"--map {text}: {name} is not one of id, product_id, picture, attributes.NAME"
            raise CommandError(message, reason="USAGE", code=Exit.USAGE)
    return FeedOptions(format_, encoding, "\t" if delimiter in ("tab", "\\t") else delimiter, **found)


def secret_of(path: Path | None) -> str:
    """The first line of a file; empty without one."""
    return path.read_text().strip() if path is not None else ""


@sources.command("add")
@with_keyed_client
def add(
    client: Client,
    name: str,
    collection: str,
    url: Annotated[str, typer.Argument(help="https://..., or file:NAME below the server's feeds directory.")],
    mode: ModeOption = "replace",
    format_: FormatOption = "",
    encoding: EncodingOption = "",
    delimiter: DelimiterOption = "",
    mapping: MapOption = None,
    authorization_file: AuthorizationOption = None,
    cron: CronOption = "",
    time_zone: ZoneOption = "UTC",
    picture_check: CheckOption = "changed",
    max_delete_share: DeleteShareOption = None,
    max_deletes: DeletesOption = None,
    max_problem_share: ProblemShareOption = None,
    min_items_share: ItemsShareOption = None,
    webhook_url: HookOption = "",
    webhook_secret_file: HookFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Add a feed that a collection follows.

    Example: afterimage sync sources add spring shoes https://shop.example/feed.xml --cron '15 * * * *'
    """
    made = client.create_source(
        NewSource(
            name, collection, url, mode or "", options_of(format_, encoding, delimiter, mapping), cron or "",
            time_zone or "UTC", max_delete_share, max_deletes, max_problem_share, min_items_share,
            picture_check=picture_check or "", authorization=secret_of(authorization_file),
            webhook_url=webhook_url or "", webhook_secret=secret_of(webhook_secret_file),
        )
    )  # fmt: skip
    if json:
        print_json(_to_dict(made))
    else:
        print(f"Collection {collection} follows {name}. Review the plan first: afterimage sync plan {name}")


@sources.command("list")
@with_client
def list_(client: Client, json: JsonFlag = False) -> None:
    """List the sources. Example: afterimage sync sources list"""
    found = client.list_sources()
    if json:
        print_json({"sources": [_to_dict(s) for s in found]})
        return
    rows = [
        (s.said.name, s.said.collection, s.said.url, s.said.cron or "on demand", s.success_time or "never",
         "paused" if s.said.paused else "")
        for s in found
    ]  # fmt: skip
    print_table(["source", "collection", "url", "schedule", "last success", ""], rows)


@sources.command("show")
@with_client
def show(client: Client, source: str, json: JsonFlag = False) -> None:
    """Show one source. Example: afterimage sync sources show spring"""
    shown = _to_dict(client.get_source(source))
    if json:
        print_json(shown)
        return
    flat = {**shown, **{f"options.{n}": v for n, v in shown.pop("options").items()}}
    flat.pop("options", None)
    print_fields({n: "" if v is None else v for n, v in flat.items()})


@sources.command("update")
@with_client
def update(
    client: Client,
    source: str,
    url: Annotated[str | None, typer.Option(help="New URL of the feed.")] = None,
    mode: ModeOption = None,
    authorization_file: AuthorizationOption = None,
    cron: CronOption = None,
    time_zone: ZoneOption = None,
    picture_check: CheckOption = None,
    max_delete_share: DeleteShareOption = None,
    max_deletes: DeletesOption = None,
    max_problem_share: ProblemShareOption = None,
    min_items_share: ItemsShareOption = None,
    webhook_url: HookOption = None,
    webhook_secret_file: HookFileOption = None,
    paused: Annotated[bool | None, typer.Option("--pause/--resume", help="Disable or enable scheduled runs.")] = None,
    json: JsonFlag = False,
) -> None:
    """Update a source. Omitted options are unchanged. Example: afterimage sync sources update spring --pause"""
    given: dict[str, Any] = {
        "url": url, "mode": mode, "cron": cron, "time_zone": time_zone, "picture_check": picture_check,
        "max_delete_share": max_delete_share, "max_deletes": max_deletes, "max_problem_share": max_problem_share,
        "min_items_share": min_items_share, "webhook_url": webhook_url, "paused": paused,
    }  # fmt: skip
    said = replace(
        client.get_source(source).said, authorization=secret_of(authorization_file),
        webhook_secret=secret_of(webhook_secret_file), **{n: v for n, v in given.items() if v is not None},
    )  # fmt: skip
    changed = client.update_source(said)
    if json:
        print_json(_to_dict(changed))
        return
    print(f"Updated source {changed.said.name}.")
    for name in changed.dropped_secrets:
        option = f"--{name.replace('_', '-')}-file"
        print(f"Its {name} was removed, because the URL has another origin; pass {option} again.")


@sources.command("delete")
@with_keyed_client
def delete(client: Client, source: str, json: JsonFlag = False) -> None:
    """Delete a source. Its records stay. Example: afterimage sync sources delete spring"""
    stayed = client.delete_source(source)
    if json:
        print_json({"source": source, "record_count": stayed})
    else:
        print(f"Deleted source {source}; its {stayed} records stay.")


def _to_dict(source: Source) -> dict[str, Any]:
    said = asdict(source.said)
    for secret in ("authorization", "webhook_secret"):
        said.pop(secret)
    return {
        "source_id": source.source_id, **said, "create_time": source.create_time, "success_time": source.success_time,
        "found_format": source.found_format, "has_authorization": source.has_authorization,
        "has_webhook_secret": source.has_webhook_secret, "dropped_secrets": list(source.dropped_secrets),
    }  # fmt: skip
