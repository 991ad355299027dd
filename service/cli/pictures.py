"""Which files an insert means, and what a CSV says of them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from service.cli.output import CommandError, Exit

_SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_OWN_COLUMNS = frozenset({"file", "url", "record_id", "product_id"})
AttributeValue = str | float | bool | tuple[str, ...]


@dataclass(frozen=True)
class PictureFile:
    """A file to insert, or, where `url` is set, a picture that the server fetches, and what goes with it."""

    path: Path
    record_id: str
    product_id: str = ""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    url: str = ""

    def __str__(self) -> str:
        return self.url or str(self.path)


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and those below the folders named whose suffix is a picture's, in order. Raises CommandError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
        elif path.is_file():
            found.append(path)
        else:
            raise CommandError(f"{path}: no such file or folder", code=Exit.USAGE)
    return list(dict.fromkeys(found))


def plan_insert(paths: Sequence[Path], table: Path | None) -> list[PictureFile]:
    """What to insert: the files, with what the CSV says of them; all files of the CSV where no path is given.

    Raises CommandError where two files would have the same record id, or a file of the CSV does not exist.
    """
    rows = read_table(table) if table else {}
    if table and not paths:
        planned = [row if row.url else _plan(table.parent / name, row) for name, row in rows.items()]
        missing = next((f for f in planned if not f.url and not f.path.is_file()), None)
        if missing is not None:
            raise CommandError(f"{table}: {missing} does not exist", code=Exit.USAGE)
    else:
        planned = [_plan(f, _row_of(f, rows, table)) for f in find_files(paths)]
    _check_unique(planned)
    return planned


def read_table(path: Path) -> dict[str, PictureFile]:
    """Rows of a CSV by the text of their `file` or `url` column. Columns: file or url, record_id, product_id; every
    other one is an attribute. A column of numbers is numeric, one of true and false is boolean, one whose name ends in
    `[]` holds lists separated by `|`; an empty cell is no attribute. Raises CommandError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{path}: {error}", code=Exit.USAGE) from error
    if not rows or not {"file", "url"} & set(rows[0]):
        raise CommandError(f"{path}: needs a header with a column `file` or `url`, and rows", code=Exit.USAGE)
    names = [n for n in rows[0] if n is not None and n not in _OWN_COLUMNS]
    kinds = {n: _kind(n, [r.get(n) or "" for r in rows]) for n in names}
    return {
        source: PictureFile(
            Path(source),
            row.get("record_id") or Path(source).stem,
            row.get("product_id") or "",
            {n.removesuffix("[]"): _value(kinds[n], row[n]) for n in names if row.get(n)},
            url="" if row.get("file") else source,
        )
        for row in rows
        if (source := row.get("file") or row.get("url") or "")
    }


def _row_of(path: Path, rows: Mapping[str, PictureFile], table: Path | None) -> PictureFile | None:
    if table is None:
        return None
    names = [str(path), path.name]
    if path.resolve().is_relative_to(table.parent.resolve()):
        names.insert(0, str(path.resolve().relative_to(table.parent.resolve())))
    return next((rows[n] for n in names if n in rows), None)


def _plan(path: Path, row: PictureFile | None) -> PictureFile:
    return PictureFile(path, row.record_id, row.product_id, row.attributes) if row else PictureFile(path, path.stem)


def _check_unique(planned: Iterable[PictureFile]) -> None:
    seen: dict[str, str] = {}
    for file in planned:
        other = seen.setdefault(file.record_id, str(file))
        if other != str(file):
            message = f"{other} and {file} have the same record id {file.record_id!r}; give ids with --records"
            raise CommandError(message, code=Exit.USAGE)


def _kind(name: str, cells: Sequence[str]) -> str:
    filled = [c for c in cells if c]
    if name.endswith("[]"):
        return "list"
    if filled and all(c in ("true", "false") for c in filled):
        return "boolean"
    return "number" if filled and all(_NUMBER.fullmatch(c) for c in filled) else "text"


def _value(kind: str, cell: str) -> AttributeValue:
    if kind == "list":
        return tuple(cell.split("|"))
    if kind == "boolean":
        return cell == "true"
    return float(cell) if kind == "number" else cell
