"""Detects an outdated `registry.db`, and restores a lost one.

The registry has a number that increases with every change of tenants and keys. The manifests of some tenants contain
that number, so that an older copy of the registry is detected. A standby copy, `registry-copy.db`, is encrypted under
the same key and written after each change. The previous copy is overwritten first, because it may contain a destroyed
key.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from index import AfterimageIndexError, DataDirectory, DataFault, Manifest, State, Thing
from index.storage import Connection, backup, rename, step, sync_directory

REGISTRY = "registry.db"
_COMPANIONS = 4


def copy_of(registry: Path) -> Path:
    """The path of the standby copy."""
    return registry.with_name("registry-copy.db")


def check_there(registry: Path) -> None:
    """Raises DataFault if the registry is missing or empty but existed before."""
    if registry.exists() and not registry.is_file():
        raise DataFault(registry, "is not a file")
    if registry.exists() and registry.stat().st_size:
        return
    data = DataDirectory(registry.parent)
    tenants = len(list(data.tenants.iterdir())) if data.tenants.is_dir() else 0
    if tenants or data.node.exists() or copy_of(registry).exists():
        state = "is empty" if registry.exists() else "is missing"
        raise DataFault(registry, f"{state}, although there are directories of {tenants} tenants")


def note_number(data: DataDirectory, uids: list[str], key_of: Callable[[str], bytes], number: int) -> None:
    """Stores the registry's number in the manifests of some tenants. `key_of` returns a tenant's data key by uid."""
    for uid in sorted(uids)[:_COMPANIONS]:
        path = data.tenant(uid).manifest
        if path.exists() and path.stat().st_size:
            manifest = Manifest(path, key_of(uid))
            manifest.put(Thing(REGISTRY, State.PRESENT, number=number))


def noted_number(data: DataDirectory, uids: list[str], key_of: Callable[[str], bytes]) -> int:
    """The highest stored number of the registry. Unreadable manifests are ignored."""
    highest = 0
    for uid in sorted(uids)[:_COMPANIONS]:
        path = data.tenant(uid).manifest
        if not path.exists() or not path.stat().st_size:
            continue
        try:
            thing = Manifest(path, key_of(uid)).thing(REGISTRY)
        except AfterimageIndexError:
            continue
        highest = max(highest, thing.number if thing is not None else 0)
    return highest


def write_copy(connection: Connection, registry: Path, key: bytes) -> None:
    """Rewrites the standby copy of an open registry. Raises OSError, StoreUnavailable or DatabaseError.

    A server and commands do so one after the other, so that the copy is as new as the last of them found the registry.
    """
    with _alone(registry.parent):
        fresh = registry.with_name(".writing-registry-copy.db")
        fresh.unlink(missing_ok=True)  # a process that was killed may have left it
        backup(connection, fresh, key).close()
        overwrite(copy_of(registry))
        rename(fresh, copy_of(registry))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other process or thread is in this block for the same folder.

    The lock is the kernel's, on the folder itself. It goes with its process, and leaves no file.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def overwrite(path: Path) -> None:
    """Overwrites a file with zeros if it exists, so that its content cannot be read afterwards. Raises OSError."""
    if not path.is_file():
        return
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())


def remove_copy(registry: Path) -> None:
    """Overwrites and removes the standby copy. Raises OSError."""
    overwrite(copy_of(registry))
    step("the copy of the registry is overwritten")
    copy_of(registry).unlink(missing_ok=True)
    step("the copy of the registry is removed")
    sync_directory(registry.parent)
