"""`afterimage collections tune` and `calibrate`: what a collection learns of itself, and what it would gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from afterimage.client import CalibrationReport, Client, LabelledPair, ReliabilityBin, WeightReport
from service.cli.connection import with_client, with_keyed_client
from service.cli.models.labelled_pairs import print_thresholds, read_pairs, write_plot
from service.cli.output import CommandError, Exit, JsonFlag, print_fields, print_json, print_table


@with_keyed_client
def tune(
    client: Client,
    name: str,
    apply: Annotated[bool, typer.Option("--apply", help="Use what is beyond doubt. Default: dry run.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Return to the state before the last change.")] = False,
    json: JsonFlag = False,
) -> None:
    """Measure what learned weights of blocks and learned scores would gain on products held out.

    A collection learns from its own records alone: pictures of one product_id belong together. Nothing changes without
    --apply. Example: afterimage collections tune shoes
    """
    if apply and undo:
        raise CommandError("--apply and --undo cannot be combined", code=Exit.USAGE)
    done = client.tune_collection(name, apply=apply, undo=undo)
    if json:
        print_json(asdict(done))
        return
    if undo:
        print(f"Collection {name} is as before the last change." if done.changed else "There is nothing to undo.")
        return
    print(f"Read {done.record_count} records.")
    if done.weights is not None:
        _show_weights(done.weights)
    if done.calibration is not None:
        _show_calibration(done.calibration)
    if done.changed:
        print("Applied. Pass --undo to return to the state before.")
    elif apply:
        print("Nothing was changed: nothing is beyond doubt.")
    else:
        print("Dry run: nothing was changed. Pass --apply to use what is beyond doubt.")


@with_client
def calibrate(
    client: Client,
    name: str,
    pairs: Annotated[
        Path | None,
        typer.Option(help="CSV file: first, second (record ids), same (1 or 0). Default: the judged pairs."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Output file for a plot (SVG).")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Calibrate the scores by the pairs.")] = False,
    json: JsonFlag = False,
) -> None:
    """Measure precision and recall by distance on labelled pairs of records.

    Example: afterimage collections calibrate shoes --pairs pairs.csv --plot thresholds.svg
    """
    labelled = [LabelledPair(*pair) for pair in read_pairs(pairs)] if pairs is not None else []
    if pairs is not None and not labelled:
        raise CommandError(f"{pairs}: no pairs", reason="FILE_INVALID")
    found = client.calibrate_collection(name, labelled, apply=apply)
    if plot is not None:
        write_plot(plot, found.thresholds, found.best)
    if json:
        print_json(asdict(found))
        return
    print_thresholds(found.thresholds, found.best)
    if found.missing_record_ids:
        print(f"{len(found.missing_record_ids)} records do not exist; {found.pair_count} pairs were measured.")
    print("The scores are calibrated by these pairs." if apply else "Dry run: pass --apply to calibrate the scores.")


def _show_weights(found: WeightReport) -> None:
    print("Weights of blocks")
    if found.product_count:
        weights = ", ".join(f"{block} {weight:g}" for block, weight in found.weights.items())
        fields = {
            "best weights": weights,
            "quality (mean of 1 / rank)": f"{found.quality_before:.3f} -> {found.quality_after:.3f}, gain "
            f"{found.gain_low:+.3f} to {found.gain_high:+.3f} (99 %)",
            "first hit is the same product": f"{found.first_hit_before:.1%} -> {found.first_hit_after:.1%}",
            "held out": f"{found.search_count} searches for {found.product_count} products",
        }
        if found.copies_before is not None and found.copies_after is not None:
            fields["altered copies found first"] = f"{found.copies_before:.1%} -> {found.copies_after:.1%}"
        print_fields(fields)
    print(f"Not beyond doubt: {found.doubt}." if found.doubt else "Beyond doubt.")


def _show_calibration(found: CalibrationReport) -> None:
    print("Scores")
    if found.calibration is not None:
        print_fields({
            "score 0.5 at distance": f"{found.calibration.same_product_distance:.3f}",
            "surprise per hit (nats)": f"{found.loss_before:.3f} -> {found.loss_after:.3f}, gain "
            f"{found.gain_low:+.3f} to {found.gain_high:+.3f} (99 %)",
            "held out": f"{found.pair_count} hits, {found.same_product_count} of the same product",
        })  # fmt: skip
        rows = _reliability(found.reliability_before, found.reliability_after)
        print_table(["score", "hits now", "same product", "hits then", "same product"], rows)
    print(f"Not beyond doubt: {found.doubt}." if found.doubt else "Beyond doubt.")


def _reliability(before: Sequence[ReliabilityBin], after: Sequence[ReliabilityBin]) -> list[Sequence[str]]:
    by_low = [{round(b.low, 1): b for b in bins} for bins in (before, after)]
    rows: list[Sequence[str]] = []
    for low in sorted(by_low[0] | by_low[1]):
        cells = [f"{low:.1f} to {low + 0.1:.1f}"]
        for bins in by_low:
            found = bins.get(low)
            cells += [str(found.pair_count), f"{found.same_product_share:.0%}"] if found else ["0", ""]
        rows.append(cells)
    return rows
