"""`afterimage models`: the tenant's own models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

import typer

from afterimage.client import Client
from service.cli.connection import with_client
from service.cli.output import JsonFlag, print_json, print_table

models = typer.Typer(no_args_is_help=True, help="List and delete own models.")


@models.command("list")
@with_client
def list_models(client: Client, json: JsonFlag = False) -> None:
    """List own models with their measurements. Example: afterimage models list"""
    found = client.list_models()
    if json:
        print_json({"models": [asdict(m) for m in found]})
    else:
        rows = [
            (m.encoder_id, m.base_encoder_id, m.training_set, m.dimension, *before_and_after(m.card)) for m in found
        ]
        print_table(["encoder", "base", "training set", "numbers", "mAP@10 of base", "mAP@10"], rows)


@models.command("delete")
@with_client
def delete_model(
    client: Client,
    encoder_id: str,
    force: Annotated[
        bool, typer.Option("--force", help="Delete. Default: dry run that lists collections using it.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Delete an own model. Example: afterimage models delete own-shoes-v1 --force"""
    done = client.delete_model(encoder_id, force=force)
    pinned = f"; collections pinned to it: {', '.join(done.collections)}" if done.collections else ""
    if json:
        print_json(asdict(done))
    elif done.deleted:
        print(f"Deleted model {encoder_id}{pinned}.")
    else:
        print(f"Dry run: this would delete {encoder_id}{pinned}. Pass --force to delete.")


def before_and_after(card: Mapping[str, Mapping[str, float]]) -> tuple[str, str]:
    """mAP@10 of the base and of the model, from a card."""
    return f"{card['before']['mAP@10']:.3f}", f"{card['after']['mAP@10']:.3f}"
