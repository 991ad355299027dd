"""`afterimage training`: trains the tenant's own models."""

from __future__ import annotations

import json as jsonlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from afterimage.client import Client, Training
from service.cli.connection import with_client, with_keyed_client
from service.cli.models.examples import find_examples, read_example
from service.cli.models.models import before_and_after
from service.cli.output import (
    CommandError,
    Exit,
    JsonFlag,
    end_failed,
    print_fields,
    print_json,
    print_table,
)
from service.cli.progress import ProgressShown

training = typer.Typer(no_args_is_help=True, help="Upload labelled pictures and train own models.")
_SHOWN_FAILURES = 20


@training.command("create")
@with_keyed_client
def create(
    client: Client,
    name: str,
    description: Annotated[str, typer.Option(help="Description.")] = "",
    json: JsonFlag = False,
) -> None:
    """Create a training set. The key needs the scope `train`. Example: afterimage training create shoes"""
    made = client.create_training_set(name, description=description)
    print_json(asdict(made)) if json else print(f"Created training set {name}. Add labelled pictures to it.")


@training.command("add")
@with_client
def add(client: Client, name: str, source: Path, json: JsonFlag = False) -> None:
    """Add labelled pictures: a folder with one folder per label, or a CSV with the columns file or url, label, and
    optionally example_id. Pictures with the same label show the same thing, or the same kind of thing.

    After an interruption, run it again; existing records are unchanged.

    Example: afterimage training add shoes labelled/
    """
    found = find_examples(source)
    outcomes: Counter[str] = Counter()
    failures = []
    with ProgressShown(quiet=json) as progress:
        bar = progress.add_task("Adding", speed="", total=len(found))
        for result in client.add_examples(name, (read_example(e) for e in found)):
            progress.advance(bar)
            outcomes[result.outcome] += 1
            if result.error is not None:
                failures.append(
                    {"example_id": result.example_id, "reason": result.error.reason, "message": result.error.message}
                )
    if json:
        print_json({"outcomes": dict(outcomes), "failures": failures})
    else:
        print(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "nothing to add")
        if failures:
            print_table(["example", "reason", "message"], [tuple(f.values()) for f in failures[:_SHOWN_FAILURES]])
    if failures:
        raise typer.Exit(Exit.SOME_RECORDS_FAILED)


@training.command("list")
@with_client
def list_(client: Client, json: JsonFlag = False) -> None:
    """List the training sets. Example: afterimage training list"""
    found = client.list_training_sets()
    if json:
        print_json({"training_sets": [asdict(s) for s in found]})
    else:
        rows = [(s.name, s.example_count, s.label_count, s.stored_bytes, s.description) for s in found]
        print_table(["name", "examples", "labels", "bytes", "description"], rows)


@training.command("show")
@with_client
def show(client: Client, name: str, json: JsonFlag = False) -> None:
    """Show a training set, with the number of examples per label. Example: afterimage training show shoes"""
    found = client.get_training_set(name)
    if json:
        print_json(asdict(found))
    else:
        print_fields({name: value for name, value in asdict(found).items() if name != "labels"})
        print_table(["label", "examples"], Counter(found.labels).most_common())


@training.command("link")
@with_client
def link(
    client: Client,
    name: str,
    example_id: str,
    minutes: Annotated[int, typer.Option(min=1, max=60, help="Lifetime of the link.")] = 10,
    json: JsonFlag = False,
) -> None:
    """Print a link to an example's picture. Example: afterimage training link shoes boots/17"""
    found = client.example_link(name, example_id, minutes=minutes)
    print_json(asdict(found)) if json else print(found.url)


@training.command("remove")
@with_client
def remove(client: Client, name: str, example_ids: list[str], json: JsonFlag = False) -> None:
    """Delete examples with their pictures. Example: afterimage training remove shoes boots/17 boots/18"""
    count = client.delete_examples(name, example_ids)
    print_json({"example_count": count}) if json else print(f"Deleted {count} examples.")


@training.command("delete")
@with_client
def delete(
    client: Client,
    name: str,
    force: Annotated[bool, typer.Option("--force", help="Delete. Default: dry run.")] = False,
    receipt: Annotated[Path | None, typer.Option(help="Output file for the receipt.")] = None,
    json: JsonFlag = False,
) -> None:
    """Delete a training set with all its pictures, with a receipt. Models trained on it stay.

    Example: afterimage training delete shoes --force --receipt shoes.json
    """
    done = client.delete_training_set(name, force=force)
    if receipt is not None and done.receipt is not None:
        receipt.write_text(jsonlib.dumps(asdict(done.receipt), indent=1) + "\n")
    if json:
        print_json(asdict(done))
    elif done.deleted:
        print(f"Deleted training set {name} with {done.example_count} pictures.")
    else:
        print(f"Dry run: this would delete {name} with {done.example_count} pictures. Pass --force to delete.")


@training.command("train")
@with_keyed_client
def train(
    client: Client,
    name: str,
    model: Annotated[str, typer.Argument(help="Name of the model. Its encoder id is own-NAME.")],
    base: Annotated[str, typer.Option(help="Base encoder; see `afterimage encoders list`.")] = "",
    wait: Annotated[bool, typer.Option(help="Wait until the training has ended.")] = True,
    json: JsonFlag = False,
) -> None:
    """Train a model on a training set. It is published only if it is better on held-out examples; otherwise the exit
    code is 1.

    Example: afterimage training train shoes shoes-v1
    """
    begun = client.train_model(name, model, base_encoder_id=base)
    if wait:
        _wait(client, begun.training_id, as_json=json)
    elif json:
        print_json(asdict(begun))
    else:
        print(f"Started training {begun.training_id}; follow it with `afterimage training watch {begun.training_id}`.")


@training.command("watch")
@with_client
def watch(client: Client, training_id: str, json: JsonFlag = False) -> None:
    """Follow a training until it has ended. The exit code is 1 if no model was published.

    Example: afterimage training watch 3f2a90c41be7d085
    """
    _wait(client, training_id, as_json=json)


@training.command("trainings")
@with_client
def trainings(client: Client, json: JsonFlag = False) -> None:
    """List the last trainings, newest first. Example: afterimage training trainings"""
    found = client.list_trainings()
    if json:
        print_json({"trainings": [asdict(t) for t in found]})
    else:
        rows = [(t.training_id, t.training_set, t.base_encoder_id, t.encoder_id, t.state, t.message) for t in found]
        print_table(["training", "set", "base", "model", "state", "message"], rows)


@training.command("cancel")
@with_keyed_client
def cancel(client: Client, training_id: str, json: JsonFlag = False) -> None:
    """Cancel a training. Example: afterimage training cancel 3f2a90c41be7d085"""
    done = client.cancel_training(training_id)
    print_json(asdict(done)) if json else print(f"Training {training_id}: {done.state}.")


def _wait(client: Client, training_id: str, *, as_json: bool) -> None:
    *_, last = _followed(client, training_id, quiet=as_json)
    if as_json:
        print_json(asdict(last))
    else:
        print(f"{last.state}: {last.message}")
        if last.card:
            before, after = before_and_after(last.card)
            print(f"mAP@10 on {last.card['held_out_queries']} examples held out: {before} -> {after}")
    if last.state != "published":
        end_failed(CommandError(last.message, reason=f"TRAINING_{last.state.upper()}"), as_json=as_json)


def _followed(client: Client, training_id: str, *, quiet: bool) -> Iterator[Training]:
    with ProgressShown(quiet=quiet) as progress:
        bar = progress.add_task("waiting", speed="", total=None)
        for seen in client.watch_training(training_id):
            fitting = bool(seen.total) and seen.done == seen.total
            what = "fitting" if fitting else "encoding" if seen.state == "running" else seen.state
            progress.update(bar, description=what, completed=seen.done, total=seen.total or None)
            yield seen
