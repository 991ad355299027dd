"""`afterimage insert`."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from afterimage.client import AfterimageError, NewRecord, RecordResult
from service.cli.collections.journal import Journal
from service.cli.collections.pictures import PictureFile, plan_insert, rows_left_out
from service.cli.connection import CaFileOption, KeyFileOption, TargetOption, connect
from service.cli.output import CommandError, Exit, JsonFlag, print_json, print_table
from service.cli.progress import ProgressShown
from service.config import client_settings
from service.runtime.clock import Stopwatch

_SHOWN_FAILURES = 20


@dataclass
class _Tally:
    """Counts over all streams."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, str]] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, file: PictureFile, outcome: str, reason: str = "", message: str = "") -> None:
        with self.lock:
            self.outcomes[outcome] += 1
            if outcome == "failed":
                facts = {"record_id": file.record_id, "file": str(file), "reason": reason, "message": message}
                self.failures.append(facts)


def insert(
    collection: str,
    paths: Annotated[list[Path] | None, typer.Argument(help="Picture files and folders.")] = None,
    records: Annotated[
        Path | None,
        typer.Option(help="Table (CSV, JSON lines or Parquet) with file or url, record_id, product_id and attributes."),
    ] = None,
    insert_only: Annotated[bool, typer.Option("--insert-only", help="Reject existing ids.")] = False,
    split_objects: Annotated[
        bool, typer.Option("--split-objects", help="Insert each object in a picture ID as a record ID#1, ID#2, ...")
    ] = False,
    max_objects: Annotated[int, typer.Option(help="With --split-objects: parts of a picture, 1 to 32. 0: 16.")] = 0,
    streams: Annotated[int, typer.Option(min=1, max=16, help="Number of concurrent streams.")] = 2,
    resume: Annotated[bool, typer.Option(help="Skip what an interrupted run of this command has inserted.")] = True,
    target: TargetOption = "",
    api_key_file: KeyFileOption = None,
    ca_file: CaFileOption = None,
    json: JsonFlag = False,
) -> None:
    """Insert pictures. The record id is the file name without suffix, unless a table sets it.

    After an interruption, run it again to continue.

    Example: afterimage insert shoes photos/ --records photos.csv

    Each thing in photographs of shelves: afterimage insert shelves photos/ --split-objects
    """
    if not paths and records is None:
        raise CommandError("pass files, folders or --records", code=Exit.USAGE)
    planned = plan_insert(paths or [], records)
    if left_out := rows_left_out(paths or [], records, planned):
        print(f"skipped {left_out} rows of {records} that match none of these files", file=sys.stderr)
    watch = Stopwatch()
    with connect(target, api_key_file, ca_file) as client:
        client.get_collection(collection)  # a wrong name or key fails before anything is read
        journal = _journal(target, collection, paths or [], records)
        usable = [f for f in planned if not f.trouble]
        waiting = [f for f in usable if not (resume and journal.has(f))]
        tally = _Tally(Counter({"skipped": len(usable) - len(waiting)}))
        for file in planned:
            if file.trouble:
                tally.add(file, "failed", "ROW_INVALID", file.trouble)
        try:
            send = partial(
                client.import_records, collection, insert_only=insert_only, split_objects=split_objects,
                max_objects=max_objects,
            )  # fmt: skip
            _insert_all(send, waiting, streams, journal, tally)
        except AfterimageError as error:
            stored = sum(tally.outcomes[n] for n in ("created", "updated", "unchanged", "skipped"))
            message = f"{error.message}; {stored} of {len(planned)} are stored, run the same command again to continue"
            raise CommandError(message, reason=error.reason or "INTERRUPTED") from error
    if not tally.failures:
        journal.clear()
    _report(len(planned), tally, watch.seconds(), as_json=json)
    if tally.failures:
        raise typer.Exit(Exit.SOME_RECORDS_FAILED)


def _journal(target: str, collection: str, paths: Sequence[Path], table: Path | None) -> Journal:
    settings = client_settings()
    key_id = settings.api_key[:20]
    where = [str(p.resolve()) for p in [*paths, *([table] if table else [])]]
    return Journal(settings.state_dir, target or settings.target, key_id, collection, *where)


def _insert_all(
    send: Callable[[Iterable[NewRecord]], Iterator[RecordResult]], files: Sequence[PictureFile], streams: int,
    journal: Journal, tally: _Tally,
) -> None:  # fmt: skip
    with ProgressShown() as progress:
        task = progress.add_task("Inserting", total=len(files), speed="")

        def one_stream(part: Sequence[PictureFile]) -> None:
            readable = _Readable(part, tally)
            for result in send(readable.records()):
                file = readable.sent.pop(result.record_id)
                _note(file, result, journal, tally)
                done = sum(tally.outcomes.values())
                progress.update(task, completed=done, speed=f"{done / max(progress.tasks[0].elapsed or 1, 0.1):.0f}/s")

        parts = [files[i::streams] for i in range(streams)]
        with ThreadPoolExecutor(streams) as pool:
            for finished in [pool.submit(one_stream, p) for p in parts if p]:
                finished.result()


class _Readable:
    """Reads files as the stream asks for them; one that cannot be read fails here, alone."""

    def __init__(self, files: Sequence[PictureFile], tally: _Tally) -> None:
        self._files, self._tally = files, tally
        self.sent: dict[str, PictureFile] = {}

    def records(self) -> Iterator[NewRecord]:
        for file in self._files:
            self.sent[file.record_id] = file
            if file.url:
                yield NewRecord(file.record_id, url=file.url, product_id=file.product_id, attributes=file.attributes)
                continue
            try:
                image = file.path.read_bytes()
            except OSError as error:
                del self.sent[file.record_id]
                self._tally.add(file, "failed", "FILE_UNREADABLE", str(error.strerror))
                continue
            yield NewRecord(file.record_id, image=image, product_id=file.product_id, attributes=file.attributes)


def _note(file: PictureFile, result: RecordResult, journal: Journal, tally: _Tally) -> None:
    with tally.lock:
        tally.notes.update(note.reason for note in result.notes)
    if result.error is None:
        journal.add(file)
        tally.add(file, result.outcome)
    else:
        tally.add(file, "failed", result.error.reason, result.error.message)


def _report(total: int, tally: _Tally, seconds: float, *, as_json: bool) -> None:
    names = ("created", "updated", "unchanged", "skipped", "failed")
    counts = {"total": total, **{n: tally.outcomes[n] for n in names}}
    if as_json:
        print_json({**counts, "seconds": round(seconds, 3), **({"notes": tally.notes} if tally.notes else {})})
        for failure in tally.failures:
            print_json(failure)
        return
    totals = ", ".join(f"{n} {count}" for n, count in counts.items() if count or n == "total")
    print(f"{totals} in {seconds:.1f} s")
    for reason, count in tally.notes.items():
        print(f"note: {count} pictures with {reason} (see docs/errors.md)")
    if tally.failures:
        rows = [(f["file"], f["reason"], f["message"]) for f in tally.failures[:_SHOWN_FAILURES]]
        print_table(["file", "reason", "message"], rows)
        if len(tally.failures) > _SHOWN_FAILURES:
            print(f"and {len(tally.failures) - _SHOWN_FAILURES} more; --json lists all")
