"""`afterimage sync push` and `webhook-secret`: changes of one item between two feeds."""

from __future__ import annotations

import json as json_text
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from afterimage.client import Client
from service.cli.connection import with_client, with_keyed_client
from service.cli.output import CommandError, Exit, JsonFlag, print_json

_MAX_BYTES = 256 << 10
ItemArgument = Annotated[
    str, typer.Argument(help="A file with the item as JSON, with the fields of the feed; - for standard input.")
]


@with_client
def push(
    client: Client,
    source: str,
    item: ItemArgument = "",
    delete: Annotated[str, typer.Option("--delete", help="Delete the item with this id.")] = "",
    changed: Annotated[str, typer.Option("--changed", help="When the shop made the change, as ISO 8601.")] = "",
    json: JsonFlag = False,
) -> None:
    """Store a change of one item between two feeds.

    Example: afterimage sync push spring item.json, or afterimage sync push spring --delete 1042
    """
    if bool(item) == bool(delete):
        raise CommandError("give either the file of an item, or --delete and an id", code=Exit.USAGE)
    when = _time(changed) if changed else None
    if delete:
        pushed = client.push_deletion(source, delete, change_time=when)
    else:
        pushed = client.push_item(source, _read(item), change_time=when)
    if json:
        print_json(asdict(pushed))
        return
    why = f" ({pushed.message})" if pushed.message else ""
    print(f"Item {pushed.item_id} {pushed.outcome}{why}.")
    for note in pushed.notes:
        print(f"note: {note}")


@with_keyed_client
def webhook_secret(client: Client, source: str, json: JsonFlag = False) -> None:
    """Make the secret that signs pushes over HTTP. It is shown once; the former one stays valid for a day.

    Example: afterimage sync webhook-secret spring
    """
    made = client.rotate_push_secret(source)
    if json:
        print_json(asdict(made))
        return
    print(f"secret: {made.secret}")
    print(f"path: {made.path}")
    if made.former_expire_time is not None:
        print(f"The former secret is valid until {made.former_expire_time:%Y-%m-%d %H:%M} UTC.")


def _read(path: str) -> dict[str, object] | list[dict[str, object]]:
    try:
        content = sys.stdin.buffer.read(_MAX_BYTES + 1) if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", code=Exit.USAGE) from None
    if len(content) > _MAX_BYTES:
        raise CommandError(f"the item is larger than {_MAX_BYTES >> 10} KiB", code=Exit.USAGE)
    try:
        found = json_text.loads(content)
    except (ValueError, RecursionError):
        raise CommandError(f"{path} is not valid JSON", code=Exit.USAGE) from None
    if not isinstance(found, dict | list):
        raise CommandError(f"{path} is not a JSON object", code=Exit.USAGE)
    return found


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is not a time such as 2026-05-01T12:00:00Z", code=Exit.USAGE) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
