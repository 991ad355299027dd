"""`afterimage collections searches`, `records map` and `privacy`: reports to a tenant about its own data."""

from __future__ import annotations

import csv
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from afterimage.client import Client, SearchReport
from service.cli.connection import with_client
from service.cli.output import JsonFlag, format_value, print_hints, print_json, print_table

_WEAK_BINS = 10  # of 20: scores below 0.5


@with_client
def searches(
    client: Client,
    collection: str,
    days: Annotated[int, typer.Option(min=1, max=90, help="Number of days up to today.")] = 30,
    count: Annotated[
        bool | None, typer.Option("--count/--no-count", help="Start or stop counting; stopping deletes the counts.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Show how good searches were, by day: searches without a hit, and whose best hit scored below 0.5.

    Only counts are kept. The key needs the scope `admin`. Example: afterimage collections searches shoes --days 7
    """
    if count is not None:
        client.set_search_report(collection, enabled=count)
    report = client.search_report(collection, days=days)
    if json:
        print_json(asdict(report))
        return
    if report.days:
        headings = ["day", "searches", "without a hit", "best below 0.5", "best scores from 0 to 1"]
        print_table(headings, [*_rows(report)])
    if not report.enabled:
        print("Searches in this collection are not counted.")
    elif not report.days:
        print(f"No search in the last {days} days.")


def _rows(report: SearchReport) -> list[tuple[object, ...]]:
    return [
        (d.date, d.search_count, d.without_hit_count, sum(d.best_score_counts[:_WEAK_BINS]), _bars(d.best_score_counts))
        for d in report.days
    ]


def _bars(counts: tuple[int, ...]) -> str:
    """A character for each count; a dot for zero."""
    steps = "▁▂▃▄▅▆▇█"
    most = max(counts, default=0)
    return "".join(steps[(c * len(steps) - 1) // most] if c else "·" for c in counts)


@with_client
def map_(
    client: Client,
    collection: str,
    count: Annotated[int, typer.Option(min=1, max=5000, help="Number of records, drawn uniformly.")] = 1000,
    filter_: Annotated[str, typer.Option("--filter", help='For example: color = "red" AND price < 50')] = "",
    attribute: Annotated[str, typer.Option(help="Attribute to show with each record.")] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="Draw the same map again.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="CSV file to write.")] = None,
    json: JsonFlag = False,
) -> None:
    """Place records on a plane, so that records that look alike are near each other.

    Example: afterimage records map shoes --count 2000 --attribute color --out map.csv
    """
    found = client.project_records(collection, count=count, filter=filter_, attribute=attribute, seed=seed)
    if json:
        print_json(asdict(found))
        return
    headings = ["record", "product", "x", "y", *([attribute] if attribute else [])]
    rows = [
        (r.record_id, r.product_id, f"{r.x:.4f}", f"{r.y:.4f}", *([format_value(r.value)] if attribute else []))
        for r in found.records
    ]
    if out is not None:
        with out.open("w", newline="") as file:
            csv.writer(file).writerows([headings, *rows])
    else:
        print_table(headings, rows)
    print(
        f"{len(found.records)} of {found.allowed_count}; {found.kept_neighbors:.0%} of the 10 nearest of each are its "
        f"nearest here, too; --seed {found.seed} draws the map again",
        file=sys.stderr,
    )
    print_hints(found.filter_hints)


@with_client
def privacy(client: Client, json: JsonFlag = False) -> None:
    """Show which protections of pictures are active on the server, and what it keeps of your pictures.

    The key needs the scope `admin`. Example: afterimage privacy
    """
    found = client.privacy_report()
    if json:
        print_json(asdict(found))
        return
    print_table(["protection", "state", "detail"], [(p.name, p.state, p.detail) for p in found.protections])
    print()
    headings = ["collection", "policy", "records", "copies", "MB", "URLs", "snapshots", "judged pairs", "feedback"]
    rows = [
        (c.collection, c.picture_policy, c.record_count, c.copy_count, f"{c.copy_bytes / 1e6:.1f}", c.url_count,
         c.snapshot_count, c.judged_pair_count, c.feedback_count)
        for c in found.collections
    ]  # fmt: skip
    print_table(headings, rows)
    print(f"Training pictures: {found.training_picture_count}. Own models: {found.model_count}.")
    print(f"Access of operators: {found.approved_access_count} approved, {found.open_access_count} waiting.")
    every = f"every {found.read_audit_minutes} minutes" if found.read_audit_minutes else "not recorded"
    print(f"Reads in the audit log: {every}. Region: {found.region or 'not set'}.")
