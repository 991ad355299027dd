"""`afterimage export` and `afterimage import`."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterimage.client import AfterimageError, Client, Collection, NewRecord, NotFound, PairJudgement
from service.cli.collections.journal import ImportPlace
from service.cli.connection import with_client
from service.cli.output import CommandError, Exit, JsonFlag, print_json, print_table
from service.cli.progress import ProgressShown
from service.config import client_settings

if TYPE_CHECKING:
    from service.cli.collections.tables.parquet import ParquetImport

_SHOWN_FAILURES = 20
_NOTED_EVERY = 1000  # rows
_PAIRS_AT_ONCE = 1000
_FIELDS = ("record_id", "product_id", "vector", "attributes")


@with_client
def export(
    client: Client,
    collection: str,
    file: Annotated[Path, typer.Argument(help="Output Parquet file.")],
    filter: Annotated[str, typer.Option(help="Export only matching records.")] = "",
    key_file: Annotated[
        Path | None, typer.Option(help="Encrypt with the key in this file; it is created if missing.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    json: JsonFlag = False,
) -> None:
    """Export a collection to a Parquet file: ids, vectors, attributes, judged pairs, and the encoder of the vectors.

    The API key needs the scopes search and export. Example: afterimage export shoes shoes.parquet --key-file shoes.key
    """
    from service.cli.collections.tables.parquet import EncoderCard, ParquetExport, file_key

    if file.exists() and not force:
        raise CommandError(f"{file} exists; pass --force to overwrite it", code=Exit.USAGE)
    found = client.get_collection(collection)
    encoder = next((e for e in client.server_info().encoders if e.fingerprint == found.encoder_fingerprint), None)
    card = EncoderCard(
        collection, found.encoder_id, found.encoder_fingerprint, found.dimension,
        encoder.version if encoder else "", encoder.license if encoder else "",
    )  # fmt: skip
    key = file_key(key_file, make=True) if key_file is not None else None
    done, token, exported = 0, "", set[str]()
    with ProgressShown() as progress, ParquetExport(file, card, key).open() as target:
        task = progress.add_task("Exporting", speed="", total=client.count_records(collection, filter))
        while True:
            page, token = client.list_records_page(
                collection, filter=filter, page_token=token, page_size=1000, include_vectors=True
            )
            if page:
                target.write(page)
            done += len(page)
            exported.update(r.record_id for r in page if filter)
            progress.update(task, completed=done)
            if not token:
                break
        pairs = [
            PairJudgement(p.record_id, p.other_record_id, p.verdict)
            for p in client.judged_pairs(collection)
            if not filter or {p.record_id, p.other_record_id} <= exported
        ]
        if pairs:
            target.add_pairs(pairs)
    if json:
        sizes = {"records": done, "judged_pairs": len(pairs), "bytes": file.stat().st_size}
        print_json({"collection": collection, "file": str(file), **sizes})
    else:
        more = f" and {len(pairs)} judged pairs" if pairs else ""
        print(f"Exported {done} records{more} to {file} ({file.stat().st_size / 1000000.0:.1f} MB).")


@with_client
def import_(
    client: Client,
    collection: str,
    file: Annotated[Path, typer.Argument(help="Parquet file of `afterimage export`, or of another program.")],
    key_file: Annotated[Path | None, typer.Option(help="Key file of an encrypted file.")] = None,
    insert_only: Annotated[bool, typer.Option("--insert-only", help="Reject existing ids.")] = False,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="FIELD=COLUMN for record_id, product_id, vector or attributes; may be repeated."),
    ] = None,
    encoder: Annotated[str, typer.Option(help="Encoder id of a collection that is created.")] = "",
    resume: Annotated[bool, typer.Option(help="Skip rows that an interrupted run of this command has sent.")] = True,
    json: JsonFlag = False,
) -> None:
    """Insert the records of a Parquet file. The collection is created if it does not exist.

    After an interruption, run it again to continue. Example: afterimage import shoes shoes.parquet

    From another database: afterimage import shoes qdrant.parquet --map record_id=id --map attributes=payload
    """
    from service.cli.collections.tables.parquet import ParquetImport, file_key

    key = file_key(key_file, make=False) if key_file is not None else None
    source = ParquetImport(file, key, _column_names(map_ or []))
    found = _target(client, collection, source, encoder)
    _check_encoder(source, file, found)
    place = ImportPlace(client_settings().state_dir, collection, client_settings().target, file)
    tally = _Tally(place.rows() if resume else 0)
    try:
        with ProgressShown() as progress:
            task = progress.add_task("Importing", speed="", total=source.count, completed=tally.rows)
            for _ in _imported(client, collection, source, insert_only, tally):
                progress.update(task, completed=tally.rows)
                if tally.rows % _NOTED_EVERY == 0:
                    place.note(tally.rows)
    except AfterimageError as error:
        place.note(tally.rows)
        message = (
            f"{error.message}; {tally.rows} of {source.count} rows were sent, run the same command again to continue"
        )
        raise CommandError(message, reason=error.reason or "INTERRUPTED") from error
    _import_pairs(client, collection, source, tally)
    place.clear()
    _report(source.count, tally, as_json=json)
    if tally.failures:
        raise typer.Exit(Exit.SOME_RECORDS_FAILED)


class _Tally:
    """What became of the rows. `rows`: of the file, from its beginning, that are done."""

    def __init__(self, skipped: int) -> None:
        self.rows = skipped
        self.outcomes: Counter[str] = Counter({"skipped": skipped} if skipped else {})
        self.failures: list[dict[str, str]] = []

    def failed(self, record_id: str, reason: str, message: str, row: int | None = None) -> None:
        facts = {"record_id": record_id, "reason": reason, "message": message}
        self.failures.append(facts | ({"row": str(row)} if row is not None else {}))


def _column_names(given: Sequence[str]) -> dict[str, str]:
    """The columns by field. Raises CommandError."""
    pairs = [one.partition("=") for one in given]
    for field, _, column in pairs:
        if field not in _FIELDS or not column:
            message = f"--map {field}={column}: pass FIELD=COLUMN with one of {', '.join(_FIELDS)}"
            raise CommandError(message, code=Exit.USAGE)
    return {field: column for field, _, column in pairs}


def _target(client: Client, collection: str, source: ParquetImport, encoder: str) -> Collection:
    try:
        return client.get_collection(collection)
    except NotFound:
        card = source.card
        return client.create_collection(collection, encoder_id=encoder or (card.encoder_id if card else ""))


def _check_encoder(source: ParquetImport, file: Path, found: Collection) -> None:
    card = source.card
    if card is not None and card.encoder_fingerprint != found.encoder_fingerprint:
        raise CommandError(
            f"the vectors of {file} are from encoder {card.encoder_id!r} with fingerprint "
            f"{card.encoder_fingerprint}, the collection uses {found.encoder_id!r} with "
            f"{found.encoder_fingerprint}; they are not comparable",
            reason="ENCODER_DIFFERS",
        )


def _imported(
    client: Client, collection: str, source: ParquetImport, insert_only: bool, tally: _Tally
) -> Iterator[None]:
    """Imports the rows after those that are done, and yields after each result."""
    waiting: deque[int] = deque()  # numbers of the rows that were sent

    def good() -> Iterator[NewRecord]:
        for number, found in enumerate(source.records(tally.rows + 1), tally.rows + 1):
            if isinstance(found, NewRecord):
                waiting.append(number)
                yield found
            else:
                tally.outcomes["failed"] += 1
                tally.failed(found.record_id, "ROW_INVALID", found.message, found.number)

    for result in client.import_records(collection, good(), insert_only=insert_only):
        tally.rows = waiting.popleft()
        tally.outcomes[result.outcome] += 1
        if result.error is not None:
            tally.failed(result.record_id, result.error.reason, result.error.message)
        yield
    tally.rows = source.count


def _import_pairs(client: Client, collection: str, source: ParquetImport, tally: _Tally) -> None:
    """Stores the verdicts of the file. Those whose records are not there fail."""
    pairs = source.pairs
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        for result in client.judge_pairs(collection, pairs[start : start + _PAIRS_AT_ONCE]):
            if result.error is None:
                tally.outcomes["judged_pairs"] += 1
            else:
                pair = f"{result.judgement.record_id}, {result.judgement.other_record_id}"
                tally.failed(pair, result.error.reason, result.error.message)


def _report(total: int, tally: _Tally, *, as_json: bool) -> None:
    if as_json:
        print_json({"total": total, **tally.outcomes, "failures": tally.failures})
        return
    print(", ".join([f"total {total}", *(f"{n} {c}" for n, c in sorted(tally.outcomes.items()))]))
    columns = ("record_id", "row", "reason", "message")
    rows = [[f.get(c, "") for c in columns] for f in tally.failures[:_SHOWN_FAILURES]]
    if rows:
        print_table(["record", "row", "reason", "message"], rows)
    if len(tally.failures) > _SHOWN_FAILURES:
        print(f"and {len(tally.failures) - _SHOWN_FAILURES} more; --json lists all")
