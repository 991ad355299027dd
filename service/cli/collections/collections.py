"""`afterimage collections`."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from afterimage.client import Client
from service.cli.collections.migrate import exchange, migrate
from service.cli.collections.tune import calibrate, tune
from service.cli.connection import with_client, with_keyed_client
from service.cli.operations.reports import searches
from service.cli.output import CommandError, Exit, JsonFlag, print_fields, print_json, print_table
from service.cli.searches.search_options import parse_emphasis

_POLICIES = ("DISCARD", "REFERENCE", "ENCRYPTED_COPY")
collections = typer.Typer(no_args_is_help=True, help="Create, show, update and delete collections.")


@collections.command("create")
@with_keyed_client
def create(
    client: Client,
    name: str,
    encoder: Annotated[str, typer.Option(help="Encoder id; see `afterimage encoders list`.")] = "",
    description: Annotated[str, typer.Option(help="Description.")] = "",
    pictures: Annotated[str, typer.Option(help="Picture policy: discard, reference or encrypted_copy.")] = "discard",
    partial: Annotated[bool, typer.Option("--partial", help="Accept truncated pictures, with a note.")] = False,
    feedback: Annotated[bool, typer.Option("--feedback", help="Keep sums of likes and dislikes.")] = False,
    default_emphasis: Annotated[
        list[str] | None, typer.Option(help="BLOCK=WEIGHT for searches without --emphasis; may be repeated.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Create a collection. Example: afterimage collections create shoes"""
    policy = _policy(pictures)
    made = client.create_collection(
        name, encoder_id=encoder, description=description, picture_policy=policy, partial=partial,
        keep_feedback=feedback, default_emphasis=parse_emphasis(default_emphasis or [], "--default-emphasis"),
    )  # fmt: skip
    if json:
        print_json(asdict(made))
    else:
        print(f"Created collection {made.name}: encoder {made.encoder_id}, {made.dimension} dimensions.")


@collections.command("get")
@with_client
def get(
    client: Client,
    name: str,
    json: JsonFlag = False,
) -> None:
    """Show one collection. Example: afterimage collections get shoes --json"""
    found = asdict(client.get_collection(name))
    print_json(found) if json else print_fields(found)


@collections.command("list")
@with_client
def list_(
    client: Client,
    json: JsonFlag = False,
) -> None:
    """List the collections. Example: afterimage collections list"""
    found = list(client.collections())
    if json:
        print_json({"collections": [asdict(c) for c in found]})
    else:
        rows = [(c.name, c.record_count, c.encoder_id, c.index_time, c.description) for c in found]
        print_table(["name", "records", "encoder", "index time", "description"], rows)


@collections.command("update")
@with_client
def update(
    client: Client,
    name: str,
    description: Annotated[str | None, typer.Option(help="Description.")] = None,
    learning: Annotated[str, typer.Option(help="Learned centring: auto or off.")] = "",
    partial: Annotated[
        bool | None, typer.Option("--partial/--no-partial", help="Accept truncated pictures, with a note.")
    ] = None,
    feedback: Annotated[
        bool | None, typer.Option("--feedback/--no-feedback", help="Keep sums of likes and dislikes.")
    ] = None,
    default_emphasis: Annotated[
        list[str] | None,
        typer.Option(help="BLOCK=WEIGHT for searches without --emphasis; may be repeated. none: all weights are 1."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Change the description, learned centring, truncated pictures, feedback, or the weights of blocks.

    Example: afterimage collections update shoes --description "All shoes" --learning off
    """
    if learning not in ("", "auto", "off"):
        raise CommandError("--learning must be auto or off", code=Exit.USAGE)
    weights = None
    if default_emphasis:
        weights = {} if default_emphasis == ["none"] else parse_emphasis(default_emphasis, "--default-emphasis")
    found = client.update_collection(
        name,
        description=description,
        learning=learning,
        partial=partial,
        keep_feedback=feedback,
        default_emphasis=weights,
    )
    if json:
        print_json(asdict(found))
        return
    print(f"Updated collection {name}.")
    if weights is not None and found.calibration is not None and found.calibration.source == "DRAWN":
        print(f"Its scores are those of drawn pictures under these weights. To learn them: collections tune {name}")


@collections.command("pictures")
@with_client
def pictures(
    client: Client,
    name: str,
    policy: Annotated[str, typer.Argument(help="discard, reference or encrypted_copy.")],
    force: Annotated[
        bool, typer.Option("--force", help="Delete stored pictures that the policy does not allow.")
    ] = False,
    receipt: Annotated[Path | None, typer.Option(help="Output file for the receipt.")] = None,
    json: JsonFlag = False,
) -> None:
    """Change the picture policy. Stored pictures that the new policy does not allow are deleted, with a receipt.

    The key needs the scope `admin`. Example: afterimage collections pictures shoes discard --force
    """
    done = client.set_picture_policy(name, _policy(policy), force=force)
    if receipt is not None and done.receipt is not None:
        receipt.write_text(jsonlib.dumps(asdict(done.receipt), indent=1) + "\n")
    lost = f"{done.copies} copies and {done.urls} URLs"
    if json:
        print_json(asdict(done))
    elif done.policy != _policy(policy):
        print(f"Dry run: this would delete {lost}. Pass --force to delete.")
    else:
        what = f"; deleted {lost}" if done.receipt is not None else ""
        print(f"Collection {name} has the policy {done.policy}, version {done.policy_version}{what}.")


def _policy(text: str) -> str:
    name = text.upper().replace("-", "_")
    if name not in _POLICIES:
        raise CommandError(f"{text!r} is not discard, reference or encrypted_copy", code=Exit.USAGE)
    return name


@collections.command("delete")
@with_keyed_client
def delete(
    client: Client,
    name: str,
    force: Annotated[bool, typer.Option("--force", help="Delete. Default: dry run.")] = False,
    with_snapshots: Annotated[
        bool, typer.Option("--with-snapshots", help="Also delete its snapshots. Default: they can still be restored.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Permanently delete a collection. Example: afterimage collections delete shoes --force"""
    done = client.delete_collection(name, force=force, with_snapshots=with_snapshots)
    what = f"{name} with {done.record_count} records"
    if done.snapshot_count:
        what += f"{' and' if with_snapshots else ', but not'} its {done.snapshot_count} snapshots"
    if json:
        shown = {"name": name, "record_count": done.record_count, "snapshot_count": done.snapshot_count}
        print_json({**shown, "with_snapshots": with_snapshots, "deleted": done.deleted})
    elif done.deleted:
        print(f"Deleted collection {what}.")
    else:
        print(f"Dry run: this would delete {what}. Pass --force to delete.")


collections.command("migrate")(migrate)
collections.command("exchange")(exchange)
collections.command("searches")(searches)
collections.command("tune")(tune)
collections.command("calibrate")(calibrate)
