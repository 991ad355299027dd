"""What an interrupted insert had already done, so that the same command goes on where it stopped.

One file per target, key, collection and set of paths, below the state directory; it is removed when an insert ends
without failures. A line is the digest of a file's name, size and time of change, and of what was said of it: neither
pictures nor names are in it.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from service.cli.collections.pictures import PictureFile


class Journal:
    """Safe to share between threads."""

    def __init__(self, folder: Path, *identity: str) -> None:
        """`identity`: what makes two inserts the same one."""
        name = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:24]
        self._path = folder / "inserts" / f"{name}.done"
        self._lock = threading.Lock()
        self._done = set(self._path.read_text().split()) if self._path.exists() else set()

    def has(self, file: PictureFile) -> bool:
        """Whether the file, as it is now, was inserted by an earlier run."""
        return _mark(file) in self._done

    def add(self, file: PictureFile) -> None:
        """Notes that the server acknowledged the file."""
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._path.open("a") as out:
                out.write(_mark(file) + "\n")

    def clear(self) -> None:
        """Forgets the insert."""
        self._path.unlink(missing_ok=True)


def _mark(file: PictureFile) -> str:
    size, changed_ns = (0, 0) if file.url else (file.path.stat().st_size, file.path.stat().st_mtime_ns)
    said = (file.url or str(file.path.resolve()), size, changed_ns, file.record_id, file.product_id)
    return hashlib.sha256(repr((said, sorted(file.attributes.items()))).encode()).hexdigest()[:32]
