"""Records the progress of an insert, so that the same command resumes after an interruption.

There is one file per target, key, collection and set of paths, below the state directory. It is removed when an insert
ends without failures. A line is a digest of a file's name, size, modification time and table row. The file contains
neither pictures nor names.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from service.cli.collections.pictures import PictureFile


class Journal:
    """Thread-safe."""

    def __init__(self, folder: Path, *identity: str) -> None:
        """`identity`: identifies an insert. Inserts with the same identity share a journal."""
        name = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:24]
        self._path = folder / "inserts" / f"{name}.done"
        self._lock = threading.Lock()
        self._done = set(self._path.read_text().split()) if self._path.exists() else set()

    def has(self, file: PictureFile) -> bool:
        """Whether an earlier run inserted this version of the file."""
        return _mark(file) in self._done

    def add(self, file: PictureFile) -> None:
        """Records that the server acknowledged the file."""
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._path.open("a") as out:
                out.write(_mark(file) + "\n")

    def clear(self) -> None:
        """Deletes the journal."""
        self._path.unlink(missing_ok=True)


def _mark(file: PictureFile) -> str:
    size, changed_ns = (0, 0) if file.url else (file.path.stat().st_size, file.path.stat().st_mtime_ns)
    said = (file.url or str(file.path.resolve()), size, changed_ns, file.record_id, file.product_id)
    return hashlib.sha256(repr((said, sorted(file.attributes.items()))).encode()).hexdigest()[:32]


class ImportPlace:
    """How far an import of a file has come: a number of rows, kept while the import is not finished."""

    def __init__(self, state: Path, collection: str, target: str, file: Path) -> None:
        there = file.stat()
        said = (target, collection, str(file.resolve()), there.st_size, there.st_mtime_ns)
        self._path = state / "imports" / f"{hashlib.sha256(repr(said).encode()).hexdigest()[:24]}.rows"

    def rows(self) -> int:
        """Rows from the beginning of the file that are done; 0 if nothing is known."""
        try:
            return int(self._path.read_text())
        except (OSError, ValueError):
            return 0

    def note(self, rows: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self._path.with_suffix(".part")
        part.write_text(str(rows))
        part.replace(self._path)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)
