"""`afterimage objects`: what a detector finds in pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from afterimage.client import Client, DetectedObject, Hit, ObjectHits, SearchResult
from service.cli.connection import with_client
from service.cli.output import CommandError, Exit, JsonFlag, print_json, print_table

objects = typer.Typer(no_args_is_help=True, help="Find the objects in pictures.")


@objects.callback()
def _group() -> None:
    """A single command would otherwise take the place of its group."""


@objects.command("detect")
@with_client
def detect(
    client: Client,
    picture: Annotated[Path, typer.Argument(help="Picture file.")],
    max_objects: Annotated[int, typer.Option(help="Number of objects with the best scores, 1 to 32. 0: 16.")] = 0,
    min_score: Annotated[float | None, typer.Option(help="Minimum score (0 to 1). Default: the detector's.")] = None,
    json: JsonFlag = False,
) -> None:
    """List the objects in a picture: region, label and score. Stores nothing.

    Example: afterimage objects detect room.jpg --max-objects 5
    """
    try:
        image = picture.read_bytes()
    except OSError as error:
        raise CommandError(f"{picture}: {error.strerror}", code=Exit.USAGE) from error
    (found,) = client.detect_objects([image], max_objects=max_objects, min_score=min_score)
    if found.error is not None:
        raise CommandError(f"{picture}: {found.error.message}", reason=found.error.reason)
    if json:
        print_json({"objects": [asdict(o) for o in found.objects], "notes": [asdict(n) for n in found.notes]})
        return
    rows = [(region_text(o), o.label, o.score) for o in found.objects]
    print_table(["region", "label", "score"], rows, empty="no objects")


def region_text(found: DetectedObject) -> str:
    """The region as `search --region` takes it."""
    region = found.region
    return ",".join(f"{side:.4g}" for side in (region.left, region.top, region.right, region.bottom))


def object_text(found: DetectedObject) -> str:
    """An object in a line."""
    if not found.score:
        return "no objects; the whole picture"
    return f"{found.label} {found.score:.2f} at {region_text(found)}"


def hits_of(found: SearchResult | ObjectHits) -> list[Hit]:
    """All hits, those of groups and of objects among them, in order."""
    inner = (h for one in found.objects for h in hits_of(one)) if isinstance(found, SearchResult) else ()
    return [*found.hits, *(h for g in found.groups for h in g.hits), *inner]
