"""Tables of records for `afterimage insert --records`: CSV of any program, JSON lines, and Parquet."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import Any

from service.cli.collections.tables.attribute_values import cell_value, column_kind
from service.cli.output import CommandError, Exit

_DELIMITERS = ",;\t|"
_PICTURES = frozenset({"file", "url"})
_OWN = frozenset({"file", "url", "record_id", "product_id"})
_NOT_OF_A_NAME = re.compile(r"[^a-z0-9_]+")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_LONGEST_CELL = 1 << 20
_PARQUET_MAGIC = b"PAR1"
_NO_TABLES = (
    (b"PK\x03\x04", "an Excel workbook or another zip archive; export the table as CSV"),
    (bytes.fromhex("d0cf11e0a1b11ae1"), "an Excel workbook; export the table as CSV"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"<", "XML or a web page; tables are CSV, JSON or Parquet (for a shop's feed use `afterimage sync`)"),
)


@dataclass(frozen=True)
class TableRow:
    """One row.

    - `line`: line in the file, from 1; for Parquet the number of the row.
    - `own`: values of the columns file, url, record_id and product_id. The first two may be repeated.
    - `values`: of the other columns.
    - `trouble`: why the row is invalid.
    """

    line: int
    own: Mapping[str, Sequence[object]] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    trouble: str = ""


def read_rows(path: Path) -> list[TableRow]:
    """All rows, including invalid ones.

    Raises CommandError if the format is unknown, or there is no column `file` or `url`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", code=Exit.USAGE) from error
    for start, what in _NO_TABLES:
        if content.removeprefix(codecs.BOM_UTF8).lstrip().startswith(start):
            raise CommandError(f"{path} is {what}", code=Exit.USAGE)
    if content.startswith(_PARQUET_MAGIC):
        rows = list(_parquet_rows(path))
    else:
        text = _decoded(content)
        rows = list(_json_rows(text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text))
    if not any(_PICTURES & set(r.own) or r.trouble for r in rows):
        message = f"{path}: the table needs a header with a column `file` or `url`, and rows"
        raise CommandError(message, code=Exit.USAGE)
    return rows


def _decoded(content: bytes) -> str:
    """Decodes UTF-8, UTF-16 or else Windows-1252."""
    for mark, name in _BOMS:
        if content.startswith(mark):
            return content[len(mark) :].decode(name, "replace")
    if content[1:2] == b"\0" or content[:1] == b"\0":
        return content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be", "replace")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


# ---- CSV


def _csv_rows(text: str) -> Iterator[TableRow]:
    csv.field_size_limit(_LONGEST_CELL)
    lines = [line for line in re.split(r"(?<=\n)|(?<=\r)(?!\n)", text) if line]
    first = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
    if first == len(lines):
        return
    said = re.fullmatch(r"sep=(.)\s*", lines[first], re.I)  # as Excel writes it
    first += said is not None
    delimiter = said[1] if said else _delimiter(lines[first])
    header, used = _record(lines, first, delimiter)
    if header is None:
        return
    names = [_name(n) for n in header]
    rows = list(_cells(lines, first + used, delimiter, len(names)))
    kinds = [column_kind(n, [cells[i] for _, cells, _ in rows if len(cells) > i]) for i, n in enumerate(names)]
    for line, cells, trouble in rows:
        yield TableRow(line, trouble=trouble) if trouble else _csv_row(line, cells, names, kinds)


def _csv_row(line: int, cells: Sequence[str], names: Sequence[str], kinds: Sequence[str]) -> TableRow:
    plain = [n.removesuffix("[]") for n in names]
    own: dict[str, list[object]] = {n: [] for n in names if n in _OWN}
    values: dict[str, Any] = {}
    for name, kind, cell in zip(plain, kinds, cells, strict=False):
        if name in own:
            own[name] += [cell] if cell else []
        elif cell and name and plain.count(name) == 1:
            values[name] = cell_value(kind, cell)
        elif cell and name:  # a column that is repeated holds a list
            held = values.setdefault(name, ())
            values[name] = held + (cell_value("list", cell) if kind == "list" else (cell,))
    return TableRow(line, own, values)


def _cells(lines: Sequence[str], at: int, delimiter: str, columns: int) -> Iterator[tuple[int, list[str], str]]:
    """Line, cells and trouble of each row. An invalid row affects only its first line."""
    while at < len(lines):
        cells, used = _record(lines, at, delimiter)
        if cells is None:
            yield at + 1, [], "has an unclosed quote, or a cell that is too long"
        elif any(cells[columns:]) or (used > 1 and len(cells) < columns):  # the latter: a quote ended in a later row
            yield at + 1, [], f"has {len(cells)} cells, the header {columns}"
            used = 1
        elif any(cells):
            yield at + 1, [c.strip() for c in cells[:columns]], ""
        at += used


def _record(lines: Sequence[str], at: int, delimiter: str) -> tuple[list[str] | None, int]:
    """The cells of the row that begins in a line, and its number of lines; None if it has no end."""
    reader = csv.reader(chain(islice(lines, at, None), ["\n"]), delimiter=delimiter)
    try:
        cells = next(reader)
    except csv.Error:
        return None, 1
    if at + reader.line_num > len(lines):
        return None, 1
    return cells, reader.line_num


def _delimiter(header: str) -> str:
    """The delimiter of a header: one that yields `file` or `url`, and of these the one with the most names."""

    def rank(delimiter: str) -> tuple[bool, int]:
        names = [_name(n) for n in next(csv.reader([header], delimiter=delimiter), [])]
        return bool(_PICTURES & set(names)), len(names)

    return max(_DELIMITERS, key=rank)


def _name(column: str) -> str:
    """The name of a column as an attribute name: `Record ID` is record_id."""
    lower = column.strip().lower()
    plain = _NOT_OF_A_NAME.sub("_", lower.removesuffix("[]")).strip("_")
    return f"{plain}[]" if lower.endswith("[]") else plain


# ---- JSON and Parquet


def _json_rows(text: str) -> Iterator[TableRow]:
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text, parse_float=Decimal)
        except ValueError as error:
            raise CommandError(f"the table is not JSON: {error}", code=Exit.USAGE) from None
        yield from (_typed_row(number, value) for number, value in enumerate(found, 1))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_float=Decimal, object_pairs_hook=_pairs)
        except (ValueError, RecursionError):
            yield TableRow(number, trouble="is not JSON")
            continue
        yield _typed_row(number, value)


def _pairs(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """An object. A repeated name has a list."""
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            found[name] = [*_listed(found[name]), *_listed(value)]
        else:
            found[name] = value
    return found


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _parquet_rows(path: Path) -> Iterator[TableRow]:
    from service.cli.collections.tables.parquet import rows_of

    for number, row in enumerate(rows_of(path), 1):
        yield TableRow(number, trouble=row) if isinstance(row, str) else _typed_row(number, row)


def _typed_row(line: int, value: object) -> TableRow:
    if not isinstance(value, Mapping):
        return TableRow(line, trouble="is not an object")
    own: dict[str, Sequence[object]] = {}
    values: dict[str, object] = {}
    for given, content in value.items():
        name = _name(given).removesuffix("[]")
        if name in _OWN:
            held = content if isinstance(content, list) else [content]
            own[name] = [*own.get(name, ()), *(v for v in held if v not in (None, ""))]
        elif name == "attributes" and isinstance(content, Mapping):
            values.update({_name(n).removesuffix("[]"): v for n, v in content.items()})
        elif name and not given.startswith("__"):
            values[name] = content
    return TableRow(line, own, values)
