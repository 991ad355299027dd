"""`afterimage search`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from afterimage.client import Client, Facet, Feedback, Hit, NumberRange, ObjectHits, Region, SearchResult, Term
from service.cli.collections.pictures import find_files
from service.cli.connection import with_client
from service.cli.output import CommandError, Exit, JsonFlag, format_attributes, print_hints, print_json, print_table
from service.cli.searches.objects import hits_of, object_text
from service.cli.searches.search_options import parse_boosts, parse_colors, parse_emphasis, parse_parameters


@with_client
def search(
    client: Client,
    collection: str,
    picture: Annotated[
        Path | None, typer.Argument(help="Query picture, or use --id, --search-id, --color or --text.")
    ] = None,
    record_id: Annotated[str, typer.Option("--id", help="Record to search with.")] = "",
    search_id: Annotated[str, typer.Option(help="Earlier search to search with again, instead of its picture.")] = "",
    color: Annotated[
        list[str] | None,
        typer.Option(help="COLOR or COLOR=WEIGHT: #d02030, or a name of CSS; alone or beside the rest; repeatable."),
    ] = None,
    text: Annotated[str, typer.Option(help="What to find, in words; for encoders with a text tower.")] = "",
    text_weight: Annotated[float, typer.Option(help="Weight of --text beside the rest.")] = 1.0,
    k: Annotated[
        int | None, typer.Option("-k", "--k", help="Number of hits, or groups, to return: 1 to 1000. [default: 10]")
    ] = None,
    offset: Annotated[int, typer.Option(help="Number of hits to skip.")] = 0,
    filter_: Annotated[str, typer.Option("--filter", help='For example: color = "red" AND price < 50')] = "",
    group_by: Annotated[str, typer.Option(help="product_id: one group per product.")] = "",
    group_size: Annotated[int | None, typer.Option(help="Hits per group. [default: 1]")] = None,
    max_distance: Annotated[float | None, typer.Option(help="Maximum distance (0 to 2).")] = None,
    min_score: Annotated[float | None, typer.Option(help="Minimum score (0 to 1).")] = None,
    emphasis: Annotated[
        list[str] | None, typer.Option(help="BLOCK=WEIGHT, 0 to 100; may be repeated. Other blocks have weight 1.")
    ] = None,
    region: Annotated[str, typer.Option(help="Region of the picture: LEFT,TOP,RIGHT,BOTTOM, each 0 to 1.")] = "",
    diversity: Annotated[float, typer.Option(help="0 to 1: prefer hits that differ from each other.")] = 0.0,
    boost: Annotated[
        list[str] | None,
        typer.Option(help="WEIGHT FILTER, or WEIGHT NAME:DECAY:ORIGIN:SCALE[:OFFSET][:more|less]; may be repeated."),
    ] = None,
    boost_cap: Annotated[float | None, typer.Option(help="Maximum of all boosts together.")] = None,
    order_by: Annotated[str, typer.Option(help="Sort the best 1000 by an attribute: price, or price desc.")] = "",
    facet: Annotated[
        list[str] | None, typer.Option(help="Count values: color, or price[0,50,100]; may be repeated.")
    ] = None,
    facet_over: Annotated[str, typer.Option(help="What --facet counts: matching (the default) or hits.")] = "",
    only: Annotated[list[str] | None, typer.Option(help="Search only this record; may be repeated.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Record that is never a hit; may be repeated.")] = None,
    like: Annotated[list[str] | None, typer.Option(help="More like this record; may be repeated.")] = None,
    dislike: Annotated[list[str] | None, typer.Option(help="Less like this record; may be repeated.")] = None,
    saved: Annotated[str, typer.Option(help="Saved search to use; other options override its own.")] = "",
    saved_version: Annotated[int, typer.Option(help="Version of the saved search; 0: the newest.")] = 0,
    param: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the saved search; may be repeated.")] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Option of the saved search to leave out; may be repeated.")
    ] = None,
    with_search_id: Annotated[bool, typer.Option(help="Print a search id for --search-id, valid for an hour.")] = False,
    objects: Annotated[str, typer.Option(help="each: search with each object in the picture alone.")] = "",
    max_objects: Annotated[int, typer.Option(help="With --objects: number of objects, 1 to 32. 0: 16.")] = 0,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet (PNG) of the hits.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder with pictures named by record id, for --sheet.")] = None,
    json: JsonFlag = False,
) -> None:
    """Find the records nearest to a picture, a record, a color or a text.

    Example: afterimage search shoes query.jpg -k 5 --filter 'price < 50' --group-by product_id

    With more weight on colour: afterimage search shoes query.jpg --emphasis colour=4

    By color, or a picture's form in another color: afterimage search shoes query.jpg --color crimson=0.7

    In words: afterimage search mugs --text 'red mug with stripes'

    With a saved search: afterimage search shoes query.jpg --saved other-brand --param brand=Alba

    Another round without the picture: afterimage search shoes --search-id ID --like a-17 --exclude a-18

    Each thing in a photograph: afterimage search shoes room.jpg --objects each -k 3

    Popular ones first: afterimage search shoes query.jpg --boost '0.2 sold:linear:1000:500:more'
    """
    others = parse_colors(color or ()) + ([Term(text=text, weight=text_weight)] if text else [])
    terms = _terms(picture, record_id, search_id, region, others)
    found = client.search(
        collection, terms, k=k, offset=offset, filter=filter_, group_by=group_by, group_size=group_size,
        max_distance=max_distance, min_score=min_score, emphasis=parse_emphasis(emphasis or []),
        only_record_ids=only or (), exclude_record_ids=exclude or (), diversity=diversity, order_by=order_by,
        facets=facet or (), facet_over=facet_over,
        boosts=parse_boosts(boost or ()), boost_cap=boost_cap, saved_search=saved,
        saved_search_version=saved_version, parameters=_parameters_of(client, collection, saved, saved_version, param),
        saved_search_without=without or (), with_search_id=with_search_id, objects=objects, max_objects=max_objects,
        feedback=Feedback(tuple(like or ()), tuple(dislike or ())) if like or dislike else None,
    )  # fmt: skip
    hits = hits_of(found)
    if sheet is not None:
        write_sheet(sheet, picture, hits, pictures or (picture.parent if picture else None))
    if json:
        print_json(_as_json(found, hits))
        return
    _print_found(found, hits, of_collection=not emphasis and bool(picture or record_id))


def _terms(picture: Path | None, record_id: str, search_id: str, region: str, others: list[Term]) -> list[Term]:
    """The query: a picture, a record or an earlier search, beside the other terms. Raises CommandError."""
    given = sum((picture is not None, bool(record_id), bool(search_id)))
    if given > 1 or not (given or others):
        message = "pass one of a picture, --id and --search-id, or --color or --text"
        raise CommandError(message, code=Exit.USAGE)
    if record_id or search_id:
        return [Term(record_id=record_id, search_id=search_id), *others]
    return [Term(image=_read(picture), region=_region(region)), *others] if picture is not None else others


def _print_found(found: SearchResult, hits: Sequence[Hit], *, of_collection: bool) -> None:
    """For people. of_collection: the weights, if any, are those of the collection."""
    for one in found.objects:
        print(f"{object_text(one.object)}:")
        _print_hits(hits_of(one))
    if not found.objects:
        _print_hits(hits)
    for counted in found.facets:
        counts = [(_facet_text(value), count) for value, count in counted.counts.items()]
        print_table([counted.attribute, "records"], counts, empty=f"no {counted.attribute}")
    print(f"{len(hits)} of {found.allowed_count} in {found.total_ms:.1f} ms ({found.path})")
    if found.weights and of_collection:
        weights = ", ".join(f"{block} {weight:g}" for block, weight in found.weights.items())
        print(f"weights of this collection{', learned' if found.learned_order else ''}: {weights}")
    if found.search_id:
        print(f"search id, valid for an hour: {found.search_id}")
    if found.passed_over_total:
        print(f"{found.passed_over_total} nearer records gave way to more diverse ones")
    print_hints(found.filter_hints)


def _print_hits(hits: Sequence[Hit]) -> None:
    rows = [(h.record_id, h.product_id, _words(h), h.score, h.distance, format_attributes(h.attributes)) for h in hits]
    print_table(["record", "product", "likeness", "score", "distance", "attributes"], rows, empty="no hits")


def write_sheet(target: Path, query: Path | None, hits: Sequence[Hit], folder: Path | None) -> None:
    """A contact sheet of the query and the hits. Hits without a picture in `folder` are empty frames."""
    from service.intake.contact_sheet import Tile, draw_sheet

    by_stem = {p.stem: p for p in find_files([folder])} if folder is not None else {}
    tiles = [Tile("query", query.read_bytes())] if query is not None else []
    for hit in hits:
        path = by_stem.get(hit.record_id)
        tiles.append(Tile(f"{hit.record_id}  {hit.score:.2f}", path.read_bytes() if path else None))
    try:
        target.write_bytes(draw_sheet(tiles))
    except OSError as error:
        raise CommandError(f"--sheet {target}: {error.strerror}") from error


def _words(hit: Hit) -> str:
    return hit.likeness.replace("_", " ").lower()


def _as_json(found: SearchResult, hits: Sequence[Hit]) -> dict[str, Any]:
    return {
        "hits": [_hit(h) for h in hits],
        **(
            {"groups": [{"product_id": g.product_id, "hits": [_hit(h) for h in g.hits]} for g in found.groups]}
            if found.groups
            else {}
        ),
        **({"objects": [_object(one) for one in found.objects]} if found.objects else {}),
        **({"facets": [_facet(f) for f in found.facets]} if found.facets else {}),
        **({"search_id": found.search_id} if found.search_id else {}),
        "allowed_count": found.allowed_count,
        "path": found.path,
        "unknown_attributes": found.unknown_attributes,
        "filter_hints": found.filter_hints,
        **(
            {"passed_over": [asdict(p) for p in found.passed_over], "passed_over_total": found.passed_over_total}
            if found.passed_over
            else {}
        ),
        **({"saved_search_version": found.saved_search_version} if found.saved_search_version else {}),
        "learned_order": found.learned_order,
        "weights": found.weights,
        "calibration": found.calibration,
        "encoder_id": found.encoder_id,
        "encoder_fingerprint": found.encoder_fingerprint,
        "sequence": found.sequence,
        "index_time": found.index_time,
        "timings": {"encode_ms": found.encode_ms, "search_ms": found.search_ms, "total_ms": found.total_ms},
    }


def _object(one: ObjectHits) -> dict[str, Any]:
    groups = [{"product_id": g.product_id, "hits": [_hit(h) for h in g.hits]} for g in one.groups]
    return {
        "object": asdict(one.object), "hits": [_hit(h) for h in hits_of(one)], **({"groups": groups} if groups else {}),
        **({"search_id": one.search_id} if one.search_id else {}),
    }  # fmt: skip


def _facet(facet: Facet) -> dict[str, Any]:
    counts = [{"value": asdict(v) if isinstance(v, NumberRange) else v, "count": c} for v, c in facet.counts.items()]
    return {"attribute": facet.attribute, "counts": counts, "value_count": facet.value_count}


def _facet_text(value: str | bool | NumberRange) -> str:
    if not isinstance(value, NumberRange):
        return str(value).lower()
    low, high = ("" if end is None else f"{end:g}" for end in (value.low, value.high))
    return f"{low}..{high}"


def _hit(hit: Hit) -> dict[str, Any]:
    fields = asdict(hit)
    fields.pop("vector")
    if not hit.boosts:
        del fields["boost"], fields["boosts"]
    return fields


def _parameters_of(
    client: Client, collection: str, saved: str, version: int, given: Sequence[str] | None
) -> dict[str, str | float | bool]:
    """The parameters, with the types that the saved search declares."""
    found = parse_parameters(given or ())
    if not found or not saved:
        return found
    declared = client.get_saved_search(collection, saved, version=version).parameters
    texts = dict(option.split("=", 1) for option in given or ())
    return {n: texts[n] if n in declared and declared[n].type == "string" else v for n, v in found.items()}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", code=Exit.USAGE) from error


def _region(text: str) -> Region | None:
    if not text:
        return None
    try:
        left, top, right, bottom = (float(p) for p in text.split(","))
    except ValueError:
        raise CommandError(f"--region {text!r}: not LEFT,TOP,RIGHT,BOTTOM", code=Exit.USAGE) from None
    return Region(left, top, right, bottom)
