"""`afterimage feedback`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from afterimage.client import Client, Term
from service.cli.connection import with_client
from service.cli.output import CommandError, Exit, JsonFlag, print_json, print_table

feedback = typer.Typer(no_args_is_help=True, help="Sums of likes and dislikes, for a collection's learning.")


@feedback.command("add")
@with_client
def add(
    client: Client,
    collection: str,
    query: Annotated[str, typer.Argument(help="Record whose search was judged, or use --picture or --search-id.")] = "",
    picture: Annotated[Path | None, typer.Option(help="Picture whose search was judged.")] = None,
    search_id: Annotated[str, typer.Option(help="Id of the search that was judged.")] = "",
    like: Annotated[list[str] | None, typer.Option(help="Liked record; may be repeated.")] = None,
    dislike: Annotated[list[str] | None, typer.Option(help="Disliked record; may be repeated.")] = None,
    json: JsonFlag = False,
) -> None:
    """Add likes and dislikes to the sums of a collection that keeps feedback. No id is stored.

    Example: afterimage feedback add shoes 42 --like 17 --dislike 99
    """
    if not like and not dislike:
        raise CommandError("pass --like or --dislike", code=Exit.USAGE)
    if bool(query) + bool(picture) + bool(search_id) != 1:
        raise CommandError("pass a record, --picture or --search-id", code=Exit.USAGE)
    term = Term(record_id=query, image=picture, search_id=search_id)
    done = client.add_feedback(collection, term, liked=like or (), disliked=dislike or ())
    if json:
        print_json(asdict(done))
    elif done.kept:
        print("Added.")
    if done.missing_record_ids:
        missing = f"no such record: {', '.join(done.missing_record_ids)}"
        raise CommandError(missing, reason="RECORD_NOT_FOUND", code=Exit.SOME_RECORDS_FAILED)
    if not done.kept:
        message = (
            f"{collection} keeps no feedback; turn it on with `afterimage collections update {collection} --feedback`"
        )
        raise CommandError(message, reason="FEEDBACK_OFF")


@feedback.command("show")
@with_client
def show(client: Client, collection: str, json: JsonFlag = False) -> None:
    """Show the mean similarity of queries to liked and to disliked records, per block of the vector.

    The key needs the scope `admin`. Example: afterimage feedback show shoes
    """
    sums = client.get_feedback(collection)
    if json:
        print_json(asdict(sums))
        return
    parts = (("liked", sums.liked), ("disliked", sums.disliked), ("liked - disliked, per call", sums.contrast))
    rows = [(name, part.count, *(total / part.count for total in part.totals)) for name, part in parts if part.count]
    print_table(["", "count", *(name or "whole vector" for name in sums.blocks)], rows, empty="no feedback")


@feedback.command("clear")
@with_client
def clear(
    client: Client,
    collection: str,
    force: Annotated[bool, typer.Option("--force", help="Delete. Default: dry run.")] = False,
    json: JsonFlag = False,
) -> None:
    """Delete the sums. Example: afterimage feedback clear shoes --force"""
    if force:
        count = client.clear_feedback(collection)
    else:
        sums = client.get_feedback(collection)
        count = sums.liked.count + sums.disliked.count
    if json:
        print_json({"collection": collection, "count": count, "deleted": force})
    else:
        what = f"the sums over {count} judged records"
        print(f"Deleted {what}." if force else f"Dry run: this would delete {what}. Pass --force to delete.")
