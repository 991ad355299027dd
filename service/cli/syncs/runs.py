"""Output of runs: progress, result, plan."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from afterimage.client import Client, Run
from service.cli.output import CommandError, Exit, end_failed, print_fields, print_json, print_table
from service.cli.progress import ProgressShown

_COUNTED = (
    "create",
    "update_picture",
    "update_attributes",
    "check_picture",
    "unchanged",
    "delete",
    "kept",
    "failed_before",
)


def followed(client: Client, run: Run, *, as_json: bool, lines: bool = False) -> Run:
    """Follows a run with a progress bar. Returns it when it ends or waits for approval."""
    with ProgressShown(quiet=as_json) as bar:
        task = bar.add_task("queued", total=None, speed="")
        for seen in client.watch_run(run.run_id):
            run = seen
            if lines:
                print_json(asdict(seen))
            progress = seen.progress
            if progress is None:
                bar.update(task, description=seen.state)
            elif progress.total_count:
                speed = f"{progress.per_second:.1f}/s" if progress.per_second else ""
                bar.update(
                    task, description=seen.state, completed=progress.done_count, total=progress.total_count, speed=speed
                )
            else:
                bar.update(task, description=seen.state, completed=progress.items_read)
    return run


def report(run: Run, *, as_json: bool) -> None:
    """Prints how a run ended, and sets the exit code."""
    if as_json:
        print_json(asdict(run))
    elif run.state != "planned" and (run.succeeded or not run.ended):
        show_end(run)
    if run.state == "succeeded_with_errors":
        raise typer.Exit(Exit.SOME_RECORDS_FAILED)
    if run.state == "awaiting_approval":
        if not as_json:
            show_plan(run)
            print(f"Approve it with: afterimage sync approve {run.run_id} {run.plan.digest}")
        raise typer.Exit(Exit.WAITS_FOR_APPROVAL)
    if run.ended and not run.succeeded:
        done = f" ({counts})" if (counts := _counts(run)) else ""
        message = f"run {run.run_id} {run.state}{f': {run.message}' if run.message else ''}{done}"
        end_failed(CommandError(message, reason=run.reason or run.state.upper()), as_json=as_json)


def show_end(run: Run) -> None:
    """Prints the state, the counts and the notes of a run."""
    print(_sentence(run))
    for note in run.notes:
        print(f"note: {note.picture_count} pictures with {note.reason}: {note.message}")


def _sentence(run: Run) -> str:
    """Describes the result of a run.

    Only a successful one may have had nothing to do; a waiting one has reasons in its plan.
    """
    what = _counts(run) or ("nothing to do" if run.state == "succeeded" else "")
    why = f" ({run.message})" if run.message and run.state != "awaiting_approval" else ""
    return f"Run {run.run_id} {run.state.replace('_', ' ')}{why}{f': {what}' if what else ''}."


def _counts(run: Run) -> str:
    return ", ".join(
        f"{count} {name}"
        for name, count in (
            ("created", run.created_count), ("updated", run.updated_count), ("unchanged", run.unchanged_count),
            ("deleted", run.deleted_count), ("failed", run.failed_count),
        )
        if count
    )  # fmt: skip


def show_plan(run: Run) -> None:
    """Prints the plan of a run."""
    plan: Any = run.plan
    counts: dict[str, object] = {n: c for n in _COUNTED if (c := getattr(plan, f"{n}_count"))}
    print_fields(
        {
            "items in the feed": plan.item_count, "unusable": plan.problem_count,
            "duplicates": plan.duplicate_count, **counts, "estimated seconds": plan.estimated_seconds,
        }
    )  # fmt: skip
    if plan.samples:
        print_table(["action", "record", "line"], [(s.action, s.record_id, s.line or "") for s in plan.samples])
    if plan.problems:
        print_table(["line", "id", "unusable"], [(p.line, p.item_id, p.message) for p in plan.problems[:20]])
    for concern in plan.concerns:
        print(f"Limit exceeded: {concern}")
