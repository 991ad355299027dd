"""Labelled pictures of a folder or a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path

from afterimage.client import NewExample
from service.cli.collections.pictures import find_files
from service.cli.output import CommandError


def find_examples(source: Path) -> list[tuple[Path | str, str, str]]:
    """Finds the examples of a folder with one folder per label, or of a CSV file.

    Returns the file or URL, the id and the label of each. Raises CommandError (FILE_INVALID).
    """
    if source.is_dir():
        files = [p for p in find_files([source]) if len(p.relative_to(source).parts) > 1]
        return [
            (p, str(p.relative_to(source).with_suffix("")), p.relative_to(source).parts[0]) for p in files
        ]  # fmt: skip
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise CommandError(f"{source}: {error.strerror}", reason="FILE_INVALID") from None
    if rows and ("label" not in rows[0] or not {"file", "url"} & rows[0].keys()):
        raise CommandError(f"{source}: needs the columns file or url, and label", reason="FILE_INVALID")
    return [_row(source, row) for row in rows]


def _row(source: Path, row: dict[str, str]) -> tuple[Path | str, str, str]:
    named = row.get("file") or row.get("url") or ""
    location: Path | str = source.parent / row["file"] if row.get("file") else row.get("url") or ""
    return location, row.get("example_id") or named.rsplit(".", 1)[0][-256:], row["label"] or ""


def read_example(example: tuple[Path | str, str, str]) -> NewExample:
    """Reads the picture of an example. Raises CommandError (FILE_INVALID)."""
    location, example_id, label = example
    if isinstance(location, str):
        return NewExample(example_id, label, url=location)
    try:
        return NewExample(example_id, label, image=location.read_bytes())
    except OSError as error:
        raise CommandError(f"{location}: {error.strerror}", reason="FILE_INVALID") from None
