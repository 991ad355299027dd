"""One process owns a data directory. The lock is the kernel's (flock): it goes when the process does."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType

from index.types.errors import DirectoryLocked, StoreUnavailable


class DirectoryLock:
    """Held from `acquire` until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> DirectoryLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Takes the lock. Raises DirectoryLocked, naming the owner's process, where it is taken;
        StoreUnavailable where the file is something else, OSError."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if not self._path.is_dir() and not self._path.is_symlink():
                raise
            raise self._unusable() from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise self._unusable()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise DirectoryLocked(f"{self._path.parent} is in use by process {owner}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def _unusable(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._path} cannot be locked: remove it, and the next start creates it")

    @property
    def descriptor(self) -> int:
        """The descriptor of the lock. A process that inherits it holds the lock, too. Raises ValueError if the lock is
        not held."""
        if self._descriptor is None:
            raise ValueError("the lock is not held")
        return self._descriptor

    def release(self) -> None:
        """Gives the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
