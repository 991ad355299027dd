"""Selects the pictures of an insert, with their table rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from service.cli.collections.tables.attribute_values import AttributeValue, attributes_of, id_text
from service.cli.collections.tables.record_tables import TableRow, read_rows
from service.cli.output import CommandError, Exit

_SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp"})
_SHOWN_CLASHES = 10


@dataclass(frozen=True)
class PictureFile:
    """A file to insert or, if `url` is set, a picture that the server fetches, with its data.

    - `line`: of the table; 0 without one.
    - `trouble`: why the row of the table cannot be inserted.
    """

    path: Path
    record_id: str
    product_id: str = ""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    url: str = ""
    line: int = 0
    trouble: str = ""

    def __str__(self) -> str:
        return self.url or (str(self.path) if self.path.name else f"line {self.line}")


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The given files, and pictures by suffix below the given folders, in order. Raises CommandError."""
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
    """The pictures to insert: the files with their table rows, and the table's URLs; the whole table if no path is
    given.

    Invalid rows are included, with their `trouble`. Raises CommandError if two have the same record id, or a file in
    the table does not exist.
    """
    rows = read_table(table) if table else []
    if table and not paths:
        planned = [row if row.url or row.trouble else replace(row, path=table.parent / row.path) for row in rows]
        missing = next((f for f in planned if not f.url and not f.trouble and not f.path.is_file()), None)
        if missing is not None:
            raise CommandError(f"{table}: {missing} does not exist", code=Exit.USAGE)
    else:
        planned = [*_with_rows(find_files(paths), rows, table), *(r for r in rows if r.url or r.trouble)]
    _check_unique(planned)
    return planned


def read_table(path: Path) -> list[PictureFile]:
    """The pictures of a table, in order. docs/inserting.md describes the format. Raises CommandError."""
    return [picture for row in read_rows(path) for picture in _pictures(row)]


def rows_left_out(paths: Sequence[Path], table: Path | None, planned: Sequence[PictureFile]) -> int:
    """The number of rows that name files outside the given ones."""
    if table is None or not paths:
        return 0
    lines = {f.line for f in planned}
    return len({r.line for r in read_table(table)} - lines)


def _pictures(row: TableRow) -> Iterator[PictureFile]:
    """The records of a row. Further pictures have the record's id with #2, #3, ..."""
    nothing = PictureFile(Path(), "", line=row.line)
    files, urls = row.own.get("file", ()), row.own.get("url", ())
    try:
        if row.trouble:
            raise ValueError(row.trouble)
        if not files and not urls:
            raise ValueError("has neither a file nor a url")
        ids = [_id("record_id", v) for v in row.own.get("record_id", ())]
        products = [_id("product_id", v) for v in row.own.get("product_id", ())]
        if len(ids) > 1 or len(products) > 1:
            raise ValueError("has more than one id")
        sources = [_id("file or url", v) for v in files or urls]
        if any("\0" in s for s in sources):
            raise ValueError("has no file")
        found = PictureFile(Path(), ids[0] if ids else _stem(sources[0], bool(files)), products[0] if products else "",
                            attributes_of(row.values), line=row.line)  # fmt: skip
    except ValueError as error:
        yield replace(nothing, trouble=f"line {row.line} {error}")
        return
    for number, source in enumerate(dict.fromkeys(sources), 1):
        record_id = found.record_id if number == 1 else f"{found.record_id}#{number}"
        yield replace(found, record_id=record_id, path=Path(source), url="" if files else source)


def _id(name: str, value: object) -> str:
    try:
        return id_text(value)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _stem(source: str, is_file: bool) -> str:
    """The name of a picture without its suffix."""
    path = source if is_file else source.partition("#")[0].partition("?")[0]
    return Path(path).stem if is_file else PurePosixPath(path).stem


def _with_rows(files: Iterable[Path], rows: Iterable[PictureFile], table: Path | None) -> Iterator[PictureFile]:
    """The files with each of their rows. A file without a row stands for itself."""
    by_name: defaultdict[str, list[PictureFile]] = defaultdict(list)
    for row in rows:
        if not row.url and not row.trouble:
            by_name[str(row.path)].append(row)
    for file in files:
        names = [str(file), file.name]
        if table is not None and file.resolve().is_relative_to(table.parent.resolve()):
            names.insert(0, str(file.resolve().relative_to(table.parent.resolve())))
        found = next((by_name[n] for n in names if n in by_name), [PictureFile(file, file.stem)])
        yield from (replace(row, path=file) for row in found)


def _check_unique(planned: Iterable[PictureFile]) -> None:
    seen: dict[str, PictureFile] = {}
    clashes: list[str] = []
    for file in planned:
        if file.trouble:
            continue
        other = seen.setdefault(file.record_id, file)
        if other is not file:
            clashes.append(f"{_where(other)} and {_where(file)} have the same record id {file.record_id!r}")
    if clashes:
        more = f", and {len(clashes) - _SHOWN_CLASHES} more" if len(clashes) > _SHOWN_CLASHES else ""
        shown = "; ".join(clashes[:_SHOWN_CLASHES])
        raise CommandError(f"{shown}{more}; assign distinct ids with --records", code=Exit.USAGE)


def _where(file: PictureFile) -> str:
    return f"line {file.line} ({file})" if file.line else str(file)
