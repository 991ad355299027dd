"""`afterimage duplicates`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import typer

from afterimage.client import Client, DuplicatesSummary, JudgedPair, PairJudgement, PairResult
from service.cli.connection import with_client
from service.cli.output import CommandError, Exit, JsonFlag, print_json, print_table

duplicates = typer.Typer(no_args_is_help=True, help="Find records that look the same, and judge pairs of them.")
_VERDICTS = {"different": "different", "same": "same_product", "same_product": "same_product", "none": "none"}
_COLUMNS = ("record_id", "other_record_id", "verdict")
_AT_ONCE = 1000


@duplicates.command("find")
@with_client
def find(
    client: Client,
    collection: str,
    filter_: Annotated[str, typer.Option("--filter", help='For example: color = "red" AND price < 50')] = "",
    max_distance: Annotated[
        float | None, typer.Option(help="Maximum distance (0 to 2). Default: the encoder's for near-duplicates.")
    ] = None,
    ignore_verdicts: Annotated[
        bool, typer.Option("--ignore-verdicts", help="Group as if no pair had been judged.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """List groups of records that look the same. With --json, one group per line, as they are found.

    Example: afterimage duplicates find shoes --max-distance 0.05
    """
    said: list[DuplicatesSummary] = []
    rows = []
    for group in client.find_duplicates(
        collection, filter=filter_, max_distance=max_distance, ignore_verdicts=ignore_verdicts, on_summary=said.append
    ):
        if json:
            print_json(asdict(group))
        else:
            rows.append((group.kind, group.max_distance, group.record_ids, group.same_product_pairs))
            for one, other in group.contradictions:
                print(f"hint: {one} and {other} were judged different, and the same product by others", file=sys.stderr)
    (summary,) = said
    if json:
        print_json({"summary": asdict(summary)})
        return
    print_table(["kind", "distance", "records", "judged same"], rows, empty="no duplicates")
    print(
        f"{summary.groups} groups; verdicts left out {summary.left_out_pairs} pairs and joined "
        f"{summary.same_product_pairs}"
    )


@duplicates.command("judge")
@with_client
def judge(
    client: Client,
    collection: str,
    record_ids: Annotated[list[str] | None, typer.Argument(help="Two or more records, or use --from.")] = None,
    different: Annotated[bool, typer.Option("--different", help="No two of them are duplicates.")] = False,
    same: Annotated[bool, typer.Option("--same", help="They are all the same product.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Withdraw the verdicts on their pairs.")] = False,
    from_: Annotated[Path | None, typer.Option("--from", help="CSV with record_id, other_record_id, verdict.")] = None,
    json: JsonFlag = False,
) -> None:
    """Say that records are not duplicates, or that they are the same product. Later groups follow it.

    Example: afterimage duplicates judge shoes 17 99 --different

    Verdicts of another collection: afterimage duplicates pairs shoes --csv pairs.csv, and then afterimage duplicates
    judge shoes-v2 --from pairs.csv
    """
    if bool(record_ids) == (from_ is not None):
        raise CommandError("pass either records or --from", code=Exit.USAGE)
    if from_ is not None:
        judgements = _read(from_)
    else:
        if different + same + withdraw != 1 or len(record_ids or ()) < 2:
            message = "pass at least two records, and one of --different, --same and --withdraw"
            raise CommandError(message, code=Exit.USAGE)
        verdict = "different" if different else "same_product" if same else "none"
        judgements = [PairJudgement(one, other, verdict) for one, other in combinations(record_ids or (), 2)]
    parts = [judgements[start : start + _AT_ONCE] for start in range(0, len(judgements), _AT_ONCE)]
    results = [result for part in parts for result in client.judge_pairs(collection, part)]
    _report(results, as_json=json)


@duplicates.command("pairs")
@with_client
def pairs(
    client: Client,
    collection: str,
    verdict: Annotated[str, typer.Option(help="different or same. Default: both.")] = "",
    record_id: Annotated[str, typer.Option("--id", help="Only pairs of this record.")] = "",
    csv_: Annotated[Path | None, typer.Option("--csv", help="Write the pairs to a file for `judge --from`.")] = None,
    json: JsonFlag = False,
) -> None:
    """List the judged pairs. Example: afterimage duplicates pairs shoes --verdict different"""
    wanted = _verdict(verdict) if verdict else ""
    found = list(client.judged_pairs(collection, verdict=wanted, record_id=record_id))
    if csv_ is not None:
        _write(csv_, found)
    if json:
        print_json({"pairs": [asdict(p) for p in found]})
    elif csv_ is not None:
        print(f"Wrote {len(found)} pairs to {csv_}.")
    else:
        print_table([*_COLUMNS, "judged"], [(*_cells(p), p.judge_time) for p in found], empty="no judged pairs")


def _report(results: Sequence[PairResult], *, as_json: bool) -> None:
    failed = [r for r in results if r.error is not None]
    if as_json:
        print_json({"results": [_result(r) for r in results]})
    else:
        changed, unchanged = sum(r.changed for r in results), sum(not r.changed for r in results) - len(failed)
        print(f"{changed} pairs changed, {unchanged} unchanged, {len(failed)} failed")
        for result in failed[:20]:
            pair = result.judgement
            assert result.error is not None
            print(f"{pair.record_id}, {pair.other_record_id}: {result.error.message}", file=sys.stderr)
    if failed:
        raise typer.Exit(Exit.SOME_RECORDS_FAILED)


def _result(result: PairResult) -> dict[str, Any]:
    fields = {"previous": result.previous, "changed": result.changed}
    return asdict(result.judgement) | fields | ({"error": asdict(result.error)} if result.error else {})


def _cells(pair: JudgedPair) -> tuple[str, str, str]:
    return pair.record_id, pair.other_record_id, pair.verdict


def _write(path: Path, found: Sequence[JudgedPair]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(_COLUMNS)
            rows.writerows(_cells(p) for p in found)
    except OSError as error:
        raise CommandError(f"--csv {path}: {error.strerror}") from error


def _read(path: Path) -> list[PairJudgement]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if missing := sorted(set(_COLUMNS) - set(rows.fieldnames or ())):
                raise CommandError(f"{path}: has no column {', '.join(missing)}", code=Exit.USAGE)
            return [
                PairJudgement(
                    row["record_id"] or "", row["other_record_id"] or "", _verdict(row["verdict"] or "", line)
                )
                for line, row in enumerate(rows, 2)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{path}: {error}", code=Exit.USAGE) from error


def _verdict(text: str, line: int = 0) -> str:
    if text.lower() not in _VERDICTS:
        where = f"line {line}: " if line else ""
        raise CommandError(f"{where}{text!r} is no verdict: different, same or none", code=Exit.USAGE)
    return _VERDICTS[text.lower()]
