"""`afterimage compare`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from afterimage.client import Client, Comparison, Term, Variant
from service.cli.collections.pictures import find_files
from service.cli.connection import with_client
from service.cli.output import CommandError, Exit, JsonFlag, print_json, print_table

_NUMBERS, _TRUTHS = ("diversity", "max_distance", "min_score", "boost_cap"), ("exact",)
_TEXTS = ("filter", "group_by", "order_by")
_SETTING = "NAME=VALUE: diversity, max_distance, min_score, exact, filter, group_by or order_by; may be repeated."


@dataclass(frozen=True)
class _Row:
    query: str
    found: Comparison


@with_client
def compare(
    client: Client,
    first: Annotated[str, typer.Argument(help="Collection.")],
    second: Annotated[str, typer.Argument(help="Collection; may be the same.")],
    pictures: Annotated[list[Path] | None, typer.Argument(help="Query pictures, or folders of them.")] = None,
    record_ids: Annotated[list[str] | None, typer.Option("--id", help="Query record; may be repeated.")] = None,
    k: Annotated[int, typer.Option("-k", "--k", help="Number of hits: 1 to 1000.")] = 10,
    of_first: Annotated[list[str] | None, typer.Option("--first", help=f"Setting of the first: {_SETTING}")] = None,
    of_second: Annotated[list[str] | None, typer.Option("--second", help="The same of the second.")] = None,
    by_product: Annotated[bool, typer.Option(help="Compare products instead of records.")] = False,
    judged: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns query (name of the picture, or id) and relevant (id)."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Search two collections, or one with two settings, with the same queries, and compare the hits.

    Example: afterimage compare shoes shoes-v2 queries/ --judged relevant.csv

    Two settings: afterimage compare shoes shoes queries/ --second diversity=0.3
    """
    relevant = _judgements(judged) if judged is not None else {}
    sides = [
        Variant(name, {"k": k, **_settings(settings or [])})
        for name, settings in ((first, of_first), (second, of_second))
    ]
    rows = [
        _Row(name, client.compare(term, *sides, by_product=by_product, relevant_ids=relevant.get(name, ())))
        for name, term in _queries(pictures or [], record_ids or [])
    ]
    if not rows:
        raise CommandError("pass pictures, or records with --id", code=Exit.USAGE)
    mean = _means(rows)
    if json:
        print_json({"queries": [{"query": r.query, **_figures(r.found), **_only(r.found)} for r in rows], "mean": mean})
        return
    shown = [(r.query, *(_text(v) for v in _figures(r.found).values())) for r in rows]
    shown.append(("mean", *(_text(v) for v in mean.values())))
    print_table(["query", "overlap", "average overlap", f"precision {first}", f"precision {second}"], shown)


def _queries(pictures: Sequence[Path], record_ids: Sequence[str]) -> Iterator[tuple[str, Term]]:
    for path in find_files(pictures):
        yield path.stem, Term(image=path)
    for record_id in record_ids:
        yield record_id, Term(record_id=record_id)


def _figures(found: Comparison) -> dict[str, float | None]:
    return {
        "overlap": found.overlap, "average_overlap": found.average_overlap,
        "first_precision": found.first_precision, "second_precision": found.second_precision,
    }  # fmt: skip


def _only(found: Comparison) -> dict[str, tuple[str, ...]]:
    return {"only_first": found.only_first, "only_second": found.only_second}


def _means(rows: Sequence[_Row]) -> dict[str, float | None]:
    """Of the queries that have the figure."""
    means: dict[str, float | None] = {}
    for name in _figures(rows[0].found):
        values = [value for row in rows if (value := _figures(row.found)[name]) is not None]
        means[name] = sum(values) / len(values) if values else None
    return means


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _settings(options: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in options:
        name, _, value = option.partition("=")
        try:
            if name in _NUMBERS:
                found[name] = float(value)
            elif name in _TRUTHS and value in ("true", "false"):
                found[name] = value == "true"
            elif name in _TEXTS:
                found[name] = value
            else:
                raise ValueError
        except ValueError:
            raise CommandError(f"{option!r} is not a setting; see --help", code=Exit.USAGE) from None
    return found


def _judgements(path: Path) -> dict[str, list[str]]:
    """Relevant ids by query."""
    relevant: dict[str, list[str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"query", "relevant"} <= set(rows.fieldnames or ()):
                raise CommandError(f"{path}: needs the columns query and relevant", code=Exit.USAGE)
            for row in rows:
                relevant.setdefault(row["query"], []).append(row["relevant"])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{path}: {error}", code=Exit.USAGE) from error
    return relevant
