"""`afterimage collections migrate` and `exchange`: changes the encoder of a collection without stored pictures.

A second collection is filled from the feeds of the first one, which keeps serving. Then the two exchange names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from afterimage.client import Client, NotFound, PairJudgement, Run
from service.cli.connection import with_keyed_client
from service.cli.output import CommandError, Exit, JsonFlag, print_fields, print_json
from service.cli.syncs.runs import followed

_PAIRS_AT_ONCE = 1000


@dataclass(frozen=True)
class Coverage:
    """How much of a collection another one contains.

    `elsewhere`: records in no feed, such as pictures sent as bytes. They cannot be fetched again.
    """

    records: int
    fetched: int
    failed: int
    elsewhere: int

    @property
    def share(self) -> float:
        """The share of all records."""
        return self.fetched / self.records if self.records else 1.0


@with_keyed_client
def migrate(
    client: Client,
    name: str,
    to: Annotated[str, typer.Option(help="Encoder id; see `afterimage encoders list`.")],
    into: Annotated[str, typer.Option(help="Name of the collection to fill. Default: NAME-ENCODER.")] = "",
    plan: Annotated[
        bool, typer.Option("--plan", help="Dry run: show what can be fetched, and the estimated time.")
    ] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Exchange the two when enough records are there.")] = False,
    least: Annotated[float, typer.Option(help="Minimum share of the records for --finish.")] = 0.99,
    json: JsonFlag = False,
) -> None:
    """Fill a second collection, with another encoder, from the feeds of this one.

    The old collection keeps serving. Run it again to retry failures. Example: afterimage collections migrate shoes --to
    mobilenet-v2 --finish
    """
    target = into or f"{name}-{to}"[:63]
    sources = [s.said.name for s in client.list_sources() if s.said.collection == name]
    if not sources:
        message = f"{name} follows no feed, so its pictures cannot be fetched (see `afterimage sync`)"
        raise CommandError(message, reason="SOURCE_MISSING")
    made = _target(client, name, target, to)
    try:
        runs = [followed(client, client.start_run(s, dry_run=True, into=target), as_json=json) for s in sources]
        if not plan:
            runs = [followed(client, client.start_run(s, full=True, into=target), as_json=json) for s in sources]
        found = _coverage(client, name, target, runs)
    finally:
        if plan and made:
            client.delete_collection(target, force=True)
    if plan:
        _show_plan(found, runs, as_json=json)
        return
    waits = next((r for r in runs if r.state == "awaiting_approval"), None)
    carry_pairs(client, name, target)
    done = finish and waits is None and found.share >= least
    if done:
        client.exchange_collections(name, target)
    _report(name, target, found, done, as_json=json)
    if waits is not None:
        raise typer.Exit(Exit.WAITS_FOR_APPROVAL)
    if finish and not done:
        raise typer.Exit(Exit.SOME_RECORDS_FAILED)


@with_keyed_client
def exchange(client: Client, name: str, other: str, json: JsonFlag = False) -> None:
    """Exchange the names of two collections atomically. Example: afterimage collections exchange shoes shoes-v2"""
    client.exchange_collections(name, other)
    print_json({"collection": name, "other": other}) if json else print(f"Exchanged the names of {name} and {other}.")


def _target(client: Client, name: str, target: str, encoder: str) -> bool:
    """Creates the collection to fill, like the one that it replaces, if it does not exist. Returns whether it did.

    Raises CommandError.
    """
    try:
        found = client.get_collection(target)
    except NotFound:
        like = client.get_collection(name)
        client.create_collection(
            target,
            encoder_id=encoder,
            description=like.description,
            picture_policy=like.picture_policy,
            partial=like.partial,
            keep_feedback=like.keep_feedback,
        )
        if like.learning == "off":
            client.update_collection(target, learning="off")
        return True
    if found.encoder_id != encoder:
        raise CommandError(f"{target} exists, with encoder {found.encoder_id}; pass another name with --into")
    return False


def carry_pairs(client: Client, name: str, target: str) -> None:
    """Gives a collection the verdicts on pairs of another one. Those whose records it has not got are left out."""
    pairs = [PairJudgement(p.record_id, p.other_record_id, p.verdict) for p in client.judged_pairs(name)]
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        client.judge_pairs(target, pairs[start : start + _PAIRS_AT_ONCE])


def _coverage(client: Client, name: str, target: str, runs: list[Run]) -> Coverage:
    records = client.get_collection(name).record_count
    planned = sum(r.plan.create_count + r.plan.unchanged_count + r.plan.update_picture_count for r in runs)
    planned += sum(r.plan.update_attributes_count + r.plan.failed_before_count for r in runs)
    failed = sum(r.failed_count + r.plan.failed_before_count for r in runs)
    return Coverage(records, client.get_collection(target).record_count, failed, max(0, records - planned))


def _show_plan(found: Coverage, runs: list[Run], *, as_json: bool) -> None:
    fields: dict[str, Any] = {
        "records": found.records,
        "can be fetched": sum(r.plan.create_count for r in runs),
        "in no feed": found.elsewhere,
        "estimated seconds": sum(r.plan.estimated_seconds for r in runs),
    }
    print_json({n.replace(" ", "_"): v for n, v in fields.items()}) if as_json else print_fields(fields)


def _report(name: str, target: str, found: Coverage, done: bool, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "collection": name, "target": target, "exchanged": done, "record_count": found.records,
                "fetched_count": found.fetched, "failed_count": found.failed, "elsewhere_count": found.elsewhere,
            }
        )  # fmt: skip
        return
    print(
        f"{target if not done else name} has {found.fetched} of {found.records} records; {found.failed} failed, "
        f"{found.elsewhere} are in no feed."
    )
    if done:
        print(
            f"{name} uses the new encoder now. To go back: afterimage collections exchange {name} "
            f"{target}. To clean up: afterimage collections delete {target} --force"
        )
    else:
        print(f"To finish: afterimage collections exchange {name} {target}")
