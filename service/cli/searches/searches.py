"""`afterimage searches`: saved searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from afterimage.client import Boost, Client, SavedSearch, SearchParameter
from service.cli.connection import with_client, with_keyed_client
from service.cli.output import CommandError, Exit, JsonFlag, print_fields, print_hints, print_json, print_table
from service.cli.searches.search_options import boost_text, parse_boosts, parse_emphasis, parse_value

searches = typer.Typer(no_args_is_help=True, help="Save searches under names, and change them in versions.")

_K = Annotated[int | None, typer.Option("-k", "--k", help="Number of hits, or groups: 1 to 1000.")]
_Filter = Annotated[str | None, typer.Option("--filter", help="For example: brand != $brand AND in_stock = true")]
_GroupBy = Annotated[str | None, typer.Option(help="product_id: one group per product.")]
_GroupSize = Annotated[int | None, typer.Option(help="Hits per group.")]
_MaxDistance = Annotated[float | None, typer.Option(help="Maximum distance (0 to 2).")]
_MinScore = Annotated[float | None, typer.Option(help="Minimum score (0 to 1).")]
_Emphasis = Annotated[list[str] | None, typer.Option(help="BLOCK=WEIGHT, 0 to 100; may be repeated.")]
_Diversity = Annotated[float | None, typer.Option(help="0 to 1: prefer hits that differ from each other.")]
_Boost = Annotated[
    list[str] | None,
    typer.Option(help="WEIGHT FILTER, or WEIGHT NAME:DECAY:ORIGIN:SCALE[:OFFSET][:more|less]; may be repeated."),
]
_BoostCap = Annotated[float | None, typer.Option(help="Maximum of all boosts together.")]
_OrderBy = Annotated[str | None, typer.Option(help="Sort the best 1000 by an attribute: price, or price desc.")]
_Facet = Annotated[list[str] | None, typer.Option(help="Count values: color, or price[0,50]; may be repeated.")]
_FacetOver = Annotated[str | None, typer.Option(help="What --facet counts: matching or hits.")]
_Exclude = Annotated[list[str] | None, typer.Option(help="Record that is never a hit; may be repeated.")]
_Parameter = Annotated[
    list[str] | None,
    typer.Option(help="NAME:TYPE, or NAME:TYPE=DEFAULT: string, number or boolean; may be repeated."),
]
_Description = Annotated[str | None, typer.Option(help="Description.")]


@searches.command("create")
@with_keyed_client
def create(
    client: Client, collection: str, name: str, k: _K = None, filter_: _Filter = None, group_by: _GroupBy = None,
    group_size: _GroupSize = None, max_distance: _MaxDistance = None, min_score: _MinScore = None,
    emphasis: _Emphasis = None, diversity: _Diversity = None, boost: _Boost = None, boost_cap: _BoostCap = None,
    order_by: _OrderBy = None, facet: _Facet = None, facet_over: _FacetOver = None, exclude: _Exclude = None,
    parameter: _Parameter = None, description: _Description = None, json: JsonFlag = False,
) -> None:  # fmt: skip
    """Save a search. `afterimage search COLLECTION PICTURE --saved NAME` uses it.

    Example: afterimage searches create shoes other-brand --filter 'brand != $brand' --parameter brand:string
    """
    options = _options(
        k=k, filter=filter_, group_by=group_by, group_size=group_size, max_distance=max_distance, min_score=min_score,
        emphasis=emphasis, diversity=diversity, boosts=boost, boost_cap=boost_cap, order_by=order_by, facets=facet,
        facet_over=facet_over, exclude_record_ids=exclude,
    )  # fmt: skip
    made = client.create_saved_search(
        collection, name, options, parameters=_parameters(parameter or []), description=description or ""
    )
    _say("Saved", collection, made, json=json)


@searches.command("update")
@with_keyed_client
def update(
    client: Client, collection: str, name: str, k: _K = None, filter_: _Filter = None, group_by: _GroupBy = None,
    group_size: _GroupSize = None, max_distance: _MaxDistance = None, min_score: _MinScore = None,
    emphasis: _Emphasis = None, diversity: _Diversity = None, boost: _Boost = None, boost_cap: _BoostCap = None,
    order_by: _OrderBy = None, facet: _Facet = None, facet_over: _FacetOver = None, exclude: _Exclude = None,
    parameter: _Parameter = None, description: _Description = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Option or parameter to drop: filter, boosts, …; may be repeated.")
    ] = None,
    json: JsonFlag = False,
) -> None:  # fmt: skip
    """Change a saved search: what is not given stays. Makes a new version; fails if somebody else does meanwhile.

    Example: afterimage searches update shoes other-brand --diversity 0.4 --without boosts
    """
    before = client.get_saved_search(collection, name)
    changed = _options(
        k=k, filter=filter_, group_by=group_by, group_size=group_size, max_distance=max_distance, min_score=min_score,
        emphasis=emphasis, diversity=diversity, boosts=boost, boost_cap=boost_cap, order_by=order_by, facets=facet,
        facet_over=facet_over, exclude_record_ids=exclude,
    )  # fmt: skip
    options, parameters = {**before.options, **changed}, {**before.parameters, **_parameters(parameter or [])}
    for dropped in without or []:
        if dropped not in options and dropped not in parameters:
            raise CommandError(f"--without {dropped}: the saved search has no such option", code=Exit.USAGE)
        options.pop(dropped, None)
        parameters.pop(dropped, None)
    text = before.description if description is None else description
    made = client.update_saved_search(
        collection, name, options, parameters=parameters, description=text, etag=before.etag
    )
    _say("Updated", collection, made, json=json)


@searches.command("get")
@with_client
def get(
    client: Client,
    collection: str,
    name: str,
    version: Annotated[int, typer.Option(help="Version; 0: the newest.")] = 0,
    json: JsonFlag = False,
) -> None:
    """Show a saved search. Example: afterimage searches get shoes other-brand"""
    found = client.get_saved_search(collection, name, version=version)
    if json:
        print_json(_as_json(found))
        return
    parameters = {f"${n}": _parameter_text(p) for n, p in found.parameters.items()}
    print_fields(
        {
            "name": found.name, "description": found.description, "version": found.version, "etag": found.etag,
            "changed": found.update_time, **{n: _text(v) for n, v in found.options.items()}, **parameters,
        }
    )  # fmt: skip


@searches.command("list")
@with_client
def list_(
    client: Client,
    collection: str,
    json: JsonFlag = False,
) -> None:
    """List the saved searches of a collection. Example: afterimage searches list shoes"""
    found = list(client.saved_searches(collection))
    if json:
        print_json([_as_json(one) for one in found])
        return
    rows = [(s.name, s.version, s.update_time, ", ".join(s.parameters), s.description) for s in found]
    print_table(["name", "version", "changed", "parameters", "description"], rows, empty="no saved searches")


@searches.command("versions")
@with_client
def versions(
    client: Client,
    collection: str,
    name: str,
    json: JsonFlag = False,
) -> None:
    """List the versions of a saved search. Example: afterimage searches versions shoes other-brand"""
    found = client.saved_search_versions(collection, name)
    if json:
        print_json([_as_json(one) for one in found])
        return
    rows = [(s.version, s.update_time, ", ".join(f"{n}={_text(v)}" for n, v in s.options.items())) for s in found]
    print_table(["version", "made", "options"], rows)


@searches.command("restore")
@with_keyed_client
def restore(
    client: Client,
    collection: str,
    name: str,
    version: int,
    json: JsonFlag = False,
) -> None:
    """Make an earlier version the newest one again. Example: afterimage searches restore shoes other-brand 3"""
    _say("Restored", collection, client.restore_saved_search(collection, name, version), json=json)


@searches.command("delete")
@with_keyed_client
def delete(
    client: Client,
    collection: str,
    name: str,
    json: JsonFlag = False,
) -> None:
    """Delete a saved search with all versions. Example: afterimage searches delete shoes other-brand"""
    count = client.delete_saved_search(collection, name)
    print_json({"versions": count}) if json else print(f"Deleted {name} with {count} versions.")


def _options(**given: Any) -> dict[str, object]:
    """The options that were given, as arguments of `Client.search`."""
    options = {name: value for name, value in given.items() if value is not None}
    if "boosts" in options:
        options["boosts"] = parse_boosts(options["boosts"])
    if "emphasis" in options:
        options["emphasis"] = parse_emphasis(options["emphasis"])
    return options


def _parameters(given: Sequence[str]) -> dict[str, SearchParameter]:
    found = {}
    for option in given:
        declared, equals, default = option.partition("=")
        name, colon, kind = declared.partition(":")
        if not colon or kind not in ("string", "number", "boolean"):
            message = f"--parameter {option!r}: not NAME:TYPE or NAME:TYPE=DEFAULT"
            raise CommandError(message, code=Exit.USAGE)
        found[name] = SearchParameter(kind, parse_value(default, kind) if equals else None)
    return found


def _say(what: str, collection: str, made: SavedSearch, *, json: bool) -> None:
    if json:
        print_json({**_as_json(made), "filter_hints": made.hints})
        return
    print(f"{what} {made.name} of {collection}, version {made.version}.")
    print_hints(made.hints)


def _as_json(found: SavedSearch) -> Mapping[str, Any]:
    fields = asdict(found)
    del fields["hints"]
    return fields


def _parameter_text(parameter: SearchParameter) -> str:
    return parameter.type if parameter.default is None else f"{parameter.type}, {parameter.default!r} if not given"


def _text(value: object) -> str:
    if isinstance(value, Boost):
        return boost_text(value)
    if isinstance(value, list):
        return "; ".join(_text(v) for v in value)
    if isinstance(value, Mapping):
        return "; ".join(f"{n}={v:g}" for n, v in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
