"""`afterimage export` and `afterimage import`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from afterimage.client import Client, NewRecord, NotFound
from service.cli.connection import with_client
from service.cli.output import CommandError, Exit, JsonFlag, print_json, print_table
from service.cli.progress import ProgressShown

_SHOWN_FAILURES = 20


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
    """Export a collection to a Parquet file: ids, vectors, attributes, and the encoder of the vectors.

    The API key needs the scopes search and export. Example: afterimage export shoes shoes.parquet --key-file shoes.key
    """
    from service.cli.collections.parquet import EncoderCard, ParquetExport, file_key

    if file.exists() and not force:
        raise CommandError(f"{file} exists; pass --force to overwrite it", code=Exit.USAGE)
    found = client.get_collection(collection)
    encoder = next((e for e in client.server_info().encoders if e.fingerprint == found.encoder_fingerprint), None)
    card = EncoderCard(
        collection, found.encoder_id, found.encoder_fingerprint, found.dimension,
        encoder.version if encoder else "", encoder.license if encoder else "",
    )  # fmt: skip
    key = file_key(key_file, make=True) if key_file is not None else None
    done, token = 0, ""
    with ProgressShown() as progress, ParquetExport(file, card, key).open() as target:
        task = progress.add_task("Exporting", speed="", total=client.count_records(collection, filter))
        while True:
            page, token = client.list_records_page(
                collection, filter=filter, page_token=token, page_size=1000, include_vectors=True
            )
            if page:
                target.write(page)
            done += len(page)
            progress.update(task, completed=done)
            if not token:
                break
    if json:
        print_json({"collection": collection, "file": str(file), "records": done, "bytes": file.stat().st_size})
    else:
        print(f"Exported {done} records to {file} ({file.stat().st_size / 1000000.0:.1f} MB).")


@with_client
def import_(
    client: Client,
    collection: str,
    file: Annotated[Path, typer.Argument(help="Parquet file of `afterimage export`, or a compatible one.")],
    key_file: Annotated[Path | None, typer.Option(help="Key file of an encrypted file.")] = None,
    insert_only: Annotated[bool, typer.Option("--insert-only", help="Reject existing ids.")] = False,
    json: JsonFlag = False,
) -> None:
    """Insert the records of a Parquet file. The collection is created if it does not exist.

    After an interruption, run it again; existing records are unchanged. Example: afterimage import shoes shoes.parquet
    """
    from service.cli.collections.parquet import ParquetImport, file_key

    source = ParquetImport(file, file_key(key_file, make=False) if key_file is not None else None)
    card = source.card
    try:
        found = client.get_collection(collection)
    except NotFound:
        found = client.create_collection(collection, encoder_id=card.encoder_id if card else "")
    if card is not None and card.encoder_fingerprint != found.encoder_fingerprint:
        raise CommandError(
            f"the vectors of {file} are from encoder {card.encoder_id!r} with fingerprint "
            f"{card.encoder_fingerprint}, the collection uses {found.encoder_id!r} with "
            f"{found.encoder_fingerprint}; they are not comparable",
            reason="ENCODER_DIFFERS",
        )
    outcomes: Counter[str] = Counter()
    failures: list[dict[str, str]] = []
    with ProgressShown() as progress:
        task = progress.add_task("Importing", speed="", total=source.count)

        def good() -> Iterator[NewRecord]:
            for found in source.records():
                if isinstance(found, NewRecord):
                    yield found
                    continue
                outcomes["failed"] += 1
                failures.append({"record_id": found.record_id, "row": str(found.number), "reason": "ROW_INVALID",
                                 "message": found.message})  # fmt: skip
                progress.advance(task)

        for result in client.import_records(collection, good(), insert_only=insert_only):
            outcomes[result.outcome] += 1
            if result.error is not None:
                failures.append(
                    {"record_id": result.record_id, "reason": result.error.reason, "message": result.error.message}
                )
            progress.advance(task)
    if json:
        print_json({"total": source.count, **outcomes, "failures": failures})
    else:
        print(", ".join([f"total {source.count}", *(f"{n} {c}" for n, c in sorted(outcomes.items()))]))
        columns = ("record_id", "row", "reason", "message")
        rows = [[f.get(c, "") for c in columns] for f in failures[:_SHOWN_FAILURES]]
        if rows:
            print_table(["record", "row", "reason", "message"], rows)
        if len(failures) > _SHOWN_FAILURES:
            print(f"and {len(failures) - _SHOWN_FAILURES} more; --json lists all")
    if failures:
        raise typer.Exit(Exit.SOME_RECORDS_FAILED)
