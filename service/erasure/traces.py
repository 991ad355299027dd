"""Searches for traces of erased records in everything that is on disk, decrypted with the tenant's key.

It covers databases page by page (including unused pages), write-ahead logs, snapshots, all other files, and the objects
in object storage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index import CenteringTransform, SnapshotDamaged, TenantLayout, UnsupportedFormat, purpose_of, read_learnt
from index.storage import connect, decrypt_file, derive_key, plain_pages
from service.erasure.database_keys import purpose_of_database
from service.erasure.needles import VectorPieces
from service.erasure.shared import Erased, Shared, shared_with

Objects = Iterable[tuple[str, Callable[[], bytes]]]  # names of objects, and what reads each
_SHORTEST = 6  # minimum bytes of an id; shorter ones occur everywhere
_BLOCK_PAGES = 256
_WINDOW = 8  # bytes that are compared at once


@dataclass(frozen=True)
class Evidence:
    """What must not be found any more.

    - `vectors`: float32, shape (n, dimension).
    - `strings`: ids and links.
    - `collection`: the collection of the records; empty if unknown.
    """

    strings: Sequence[str]
    vectors: np.ndarray
    collection: str = ""


@dataclass(frozen=True)
class Trace:
    """A match. `file`: its name below the tenant's directory."""

    file: str
    what: str


@dataclass(frozen=True)
class FoundTrace:
    """The result of a search.

    - `too_short`: ids that are too short to be searched for.
    - `shared`: live records with the same content. Their data is not among the traces.
    """

    traces: tuple[Trace, ...]
    files: int
    bytes: int
    too_short: int
    shared: tuple[Shared, ...] = ()


def search(layout: TenantLayout, data_key: bytes, evidence: Evidence, objects: Objects = ()) -> FoundTrace:
    """Searches all files and objects of a tenant.

    Raises OSError, UnsupportedFormat if a file cannot be decrypted, and ServiceError if an object cannot.
    """
    strings = [s for s in dict.fromkeys(evidence.strings) if len(s.encode()) >= _SHORTEST]
    cut = VectorPieces(list(_frames(layout, data_key)))
    pieces = cut.of(evidence.vectors)
    erased = Erased(evidence.collection, frozenset(evidence.strings), list(pieces))
    shared, held = shared_with(layout, data_key, erased, cut)
    needles = {s.encode(): f"id or link of {len(s)} characters" for s in strings} | pieces
    sought, traces = _Needles({n: what for n, what in needles.items() if n not in held}), []
    files = size = 0
    for path in sorted(p for p in layout.root.rglob("*") if p.is_file()):
        name = str(path.relative_to(layout.root))
        try:
            for block in _plain(path, data_key):
                size += len(block)
                traces += [Trace(name, what) for what in sought.found_in(block)]
        except FileNotFoundError:
            continue  # a running server has removed it in the meantime
        files += 1
    for name, opened in objects:
        content = opened()
        files, size = files + 1, size + len(content)
        traces += [Trace(name, what) for what in sought.found_in(name.encode() + content)]
    return FoundTrace(tuple(traces), files, size, len(set(evidence.strings)) - len(strings), tuple(shared))


class _Needles:
    """Searches for many byte strings at once.

    Eight bytes at every offset are compared with the beginnings of all of them, and matches are then compared fully.
    """

    def __init__(self, needles: dict[bytes, str]) -> None:
        self._short = {n: what for n, what in needles.items() if len(n) < _WINDOW}
        self._long: dict[int, list[tuple[bytes, str]]] = {}
        for needle, what in needles.items():
            if len(needle) >= _WINDOW:
                self._long.setdefault(int.from_bytes(needle[:_WINDOW], "little"), []).append((needle, what))
        self._beginnings = np.array(sorted(self._long), np.uint64)

    def found_in(self, block: bytes) -> Iterator[str]:
        """Yields the description of each match in the block."""
        yield from (what for needle, what in self._short.items() if needle in block)
        if not len(self._beginnings):
            return
        for shift in range(_WINDOW):
            count = (len(block) - shift) // _WINDOW
            windows = np.frombuffer(block, "<u8", count, shift) if count > 0 else np.empty(0, np.uint64)
            at = np.minimum(np.searchsorted(self._beginnings, windows), len(self._beginnings) - 1)
            for place in np.flatnonzero(self._beginnings[at] == windows).tolist():
                start = shift + place * _WINDOW
                for needle, what in self._long[int(windows[place])]:
                    if block.startswith(needle, start):
                        yield what


def _plain(path: Path, data_key: bytes) -> Iterator[bytes]:
    """The content of a file in blocks, decrypted if it is encrypted."""
    if path.name.endswith(("-wal", "-shm")):
        return  # the log is read with its database, and -shm contains only page numbers
    purpose = purpose_of_database(path)
    if purpose is not None:
        yield from _joined(plain_pages(path, derive_key(data_key, purpose)))
    elif path.suffix == ".enc":
        try:
            yield decrypt_file(derive_key(data_key, "snapshot"), purpose_of(path.name), path.read_bytes())
        except SnapshotDamaged:
            yield path.read_bytes()
    elif path.suffix == ".db":
        raise UnsupportedFormat(f"{path.name}: unknown encryption; it cannot be searched")
    else:
        yield path.read_bytes()


def _joined(pages: Iterable[bytes]) -> Iterator[bytes]:
    block: list[bytes] = []
    for page in pages:
        block.append(page)
        if len(block) == _BLOCK_PAGES:
            yield b"".join(block)
            block = []
    yield b"".join(block)


def _frames(layout: TenantLayout, data_key: bytes) -> Iterator[CenteringTransform]:
    """The centring transforms of the tenant's collections, including kept snapshots."""
    for path in layout.root.rglob("records*.db"):
        connection = connect(path, derive_key(data_key, "collection store"))
        try:
            frame = CenteringTransform.from_bytes(read_learnt(connection, "frame"))
        finally:
            connection.close()
        if frame is not None:
            yield frame
