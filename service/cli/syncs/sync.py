"""`afterimage sync`: keep collections in step with catalogue feeds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from afterimage.client import Client
from service.cli.connection import with_client, with_keyed_client
from service.cli.output import JsonFlag, print_json, print_table
from service.cli.progress import working
from service.cli.syncs.preview import show_preview
from service.cli.syncs.pushes import push, webhook_secret
from service.cli.syncs.runs import followed, report, show_end, show_plan
from service.cli.syncs.sources import (
    AuthorizationOption,
    DelimiterOption,
    EncodingOption,
    FormatOption,
    MapOption,
    options_of,
    secret_of,
    sources,
)

sync = typer.Typer(no_args_is_help=True, help="Synchronize collections with catalogue feeds.")
sync.add_typer(sources, name="sources")
sync.command("push")(push)
sync.command("webhook-secret")(webhook_secret)

WaitFlag = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the run until it ends.")]


@sync.command("preview")
@with_client
def preview(
    client: Client,
    url: str,
    format_: FormatOption = "",
    encoding: EncodingOption = "",
    delimiter: DelimiterOption = "",
    mapping: MapOption = None,
    authorization_file: AuthorizationOption = None,
    json: JsonFlag = False,
) -> None:
    """Show how a feed is interpreted: each column, the first items, and what is skipped and why.

    Example: afterimage sync preview https://shop.example/feed.csv --map id=sku --map picture=photo
    """
    options = options_of(format_, encoding, delimiter, mapping)
    with working("fetching"):
        seen = client.preview_feed(url, options, authorization=secret_of(authorization_file))
    if json:
        print_json(asdict(seen))
        return
    show_preview(seen)


@sync.command("plan")
@with_keyed_client
def plan(client: Client, source: str, json: JsonFlag = False) -> None:
    """Show the plan of a run without applying it. Example: afterimage sync plan spring"""
    run = followed(client, client.start_run(source, dry_run=True), as_json=json)
    if not json and run.state == "planned":
        show_plan(run)
    report(run, as_json=json)


@sync.command("start")
@with_keyed_client
def start(
    client: Client,
    source: str,
    full: Annotated[bool, typer.Option("--full", help="Compare even if the feed has not changed.")] = False,
    wait: WaitFlag = True,
    json: JsonFlag = False,
) -> None:
    """Synchronize a collection with its feed now. Example: afterimage sync start spring"""
    run = client.start_run(source, full=full)
    if wait:
        run = followed(client, run, as_json=json)
    report(run, as_json=json)


@sync.command("watch")
@with_client
def watch(client: Client, run_id: str, json: JsonFlag = False) -> None:
    """Follow a run until it ends. With --json, one line per change. Example: afterimage sync watch 4f0c..."""
    report(followed(client, client.get_run(run_id), as_json=json, lines=json), as_json=json)


@sync.command("show")
@with_client
def show(client: Client, run_id: str, json: JsonFlag = False) -> None:
    """Show a run and its plan. Example: afterimage sync show 4f0c..."""
    run = client.get_run(run_id)
    if json:
        print_json(asdict(run))
        return
    show_plan(run)
    show_end(run)


@sync.command("approve")
@with_keyed_client
def approve(
    client: Client,
    run_id: str,
    plan_digest: Annotated[str, typer.Argument(help="Digest of the reviewed plan (afterimage sync show).")],
    wait: WaitFlag = True,
    json: JsonFlag = False,
) -> None:
    """Approve the reviewed plan of a run. Example: afterimage sync approve 4f0c... 91ab..."""
    run = client.approve_run(run_id, plan_digest)
    if wait:
        run = followed(client, run, as_json=json)
    report(run, as_json=json)


@sync.command("cancel")
@with_client
def cancel(client: Client, run_id: str, json: JsonFlag = False) -> None:
    """Cancel a run. What it has stored stays. Example: afterimage sync cancel 4f0c..."""
    run = client.cancel_run(run_id)
    if not run.ended:
        run = followed(client, run, as_json=json)
    print_json(asdict(run)) if json else show_end(run)


@sync.command("undo")
@with_client
def undo(client: Client, run_id: str, json: JsonFlag = False) -> None:
    """Restore the records that a run deleted, within seven days. Example: afterimage sync undo 4f0c..."""
    with working("restoring"):
        count = client.undo_deletions(run_id)
    print_json({"run_id": run_id, "record_count": count}) if json else print(f"Restored {count} records.")


@sync.command("runs")
@with_client
def runs(
    client: Client,
    source: Annotated[str, typer.Argument(help="Show only this source.")] = "",
    json: JsonFlag = False,
) -> None:
    """List runs, newest first. Example: afterimage sync runs spring"""
    found = client.list_runs(source)
    if json:
        print_json({"runs": [asdict(r) for r in found]})
        return
    rows = [
        (r.run_id, r.collection, r.state, r.create_time, r.created_count, r.updated_count, r.deleted_count,
         r.failed_count, r.message)
        for r in found
    ]  # fmt: skip
    print_table(["run", "collection", "state", "requested", "created", "updated", "deleted", "failed", ""], rows)


@sync.command("failures")
@with_client
def failures(client: Client, source: str, json: JsonFlag = False) -> None:
    """List records that could not be synchronized. With --json, one line per record.

    Example: afterimage sync failures spring
    """
    token, rows = "", []
    while True:
        page, token = client.list_failures_page(source, token, 1000)
        for failure in page:
            if json:
                print_json(asdict(failure))
        rows += page
        if not token:
            break
    if not json:
        cells = [(f.record_id, f.line, f.reason, f.message, f.tries, f.last_time, f.lasting) for f in rows]
        print_table(["record", "line", "reason", "message", "tries", "last", "lasting"], cells)


@sync.command("retry")
@with_keyed_client
def retry(
    client: Client,
    source: str,
    record_id: Annotated[list[str] | None, typer.Option(help="Retry only this record; may be repeated.")] = None,
    wait: WaitFlag = True,
    json: JsonFlag = False,
) -> None:
    """Retry failed records. Example: afterimage sync retry spring --record-id 1042"""
    _, run = client.retry_failures(source, record_id or ())
    if wait:
        run = followed(client, run, as_json=json)
    report(run, as_json=json)
