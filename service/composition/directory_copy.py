"""Copies a whole data directory while a server runs on it.

The databases of a directory belong together: each knows how new others must be. All are therefore copied as they are
at one moment. A write transaction on each of them holds the server's writers for that moment, in which the write-ahead
logs are copied and a read transaction begins on each. SQLite moves nothing from a log into its database beyond what a
reader sees, so the files can then be copied while the server writes on. A copy is a database after a crash at that
moment.

`file_copier` copies the files, in another process. Blocks are shared where the file system can.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from index import AfterimageIndexError, DataDirectory
from index.storage import (
    Connection,
    DatabaseError,
    checkpoint,
    connect,
    derive_key,
    integrity_problems,
    sync_directory,
)
from service.composition.file_copier import BackupFailed, copy_files, make_durable
from service.erasure.database_keys import purpose_of_database
from service.errors import SettingError
from service.runtime.process import raise_open_files
from service.tenancy.database import TenancyError
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry

_REGISTRIES = ("registry.db", "registry-copy.db")
_SUFFIXES = ("-wal", "-shm", "-journal")
# What the next start makes anew: the name of the server, too, because the copy may run beside the original.
_LEFT_OUT = ("LOCK", "NODE", "redis", "processes")
_DERIVED = ("snapshot-", "damaged-", ".writing-")
_ATTEMPTS = 20
_BUSY_MS = 500


@dataclass(frozen=True)
class DirectoryCopy:
    """What was copied. `left_out`: directories of tenants whose key the registry does not have."""

    databases: int
    files: int
    bytes: int
    left_out: tuple[str, ...]


def copy_directory(data: DataDirectory, registry: TenantRegistry, master_key: MasterKey, target: Path) -> DirectoryCopy:
    """Copies everything that cannot be made anew to `target`, which gets its name when the copy is checked and durable.

    Raises SettingError if `target` exists or is inside the data directory, BackupFailed, and OSError.
    """
    if target.exists() or target.resolve().is_relative_to(data.root.resolve()):
        raise SettingError(f"{target} exists, or is inside the data directory; pass the name of a new folder elsewhere")
    raise_open_files()
    part = target.with_name(target.name + ".partial")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    keys = _Keys(data, registry, master_key)
    names = _copy_databases(data, keys, part)
    others = _other_files(data.root, keys.again(), names)
    copy_files(data.root, [n for n in others if keys.known(n)], part)
    _check(part, names, keys)
    make_durable(part)
    part.rename(target)
    sync_directory(target.parent)
    copied = [p for p in target.rglob("*") if p.is_file()]
    return DirectoryCopy(len(names), len(copied), sum(p.stat().st_size for p in copied), keys.unknown_tenants())


class _Keys:
    """Finds the key of each database by its name below the data directory."""

    def __init__(self, data: DataDirectory, registry: TenantRegistry, master_key: MasterKey) -> None:
        self._data, self._registry = data, registry
        self._of_registry = master_key.derive("tenant registry")
        self._of_tenants: dict[str, bytes | None] = {}

    def again(self) -> _Keys:
        """Forgets which tenants there were."""
        self._of_tenants.clear()
        return self

    def of(self, name: Path) -> bytes | None:
        """The key of a database; None if there is none."""
        if len(name.parts) == 1:
            return self._of_registry if name.name in _REGISTRIES else None
        if name.parts[0] != "tenants" or len(name.parts) < 3:
            return None
        purpose, tenant_key = purpose_of_database(name), self._of_tenant(name)
        return derive_key(tenant_key, purpose) if purpose and tenant_key else None

    def known(self, name: Path) -> bool:
        """Whether the file does not belong to a tenant without a key."""
        return name.parts[0] != "tenants" or len(name.parts) < 3 or self._of_tenant(name) is not None

    def unknown_tenants(self) -> tuple[str, ...]:
        return tuple(sorted(uid for uid, key in self._of_tenants.items() if key is None))

    def _of_tenant(self, name: Path) -> bytes | None:
        uid = name.parts[1]
        if uid not in self._of_tenants:
            try:
                self._of_tenants[uid] = self._registry.data_key_for_repair(uid)
            except TenancyError:
                self._of_tenants[uid] = None
        return self._of_tenants[uid]


def _names(root: Path) -> list[Path]:
    """Names of all files below a data directory, without those that are made anew. Symbolic links are not followed, and
    sockets and pipes are left out."""
    found = []
    for folder, folders, files in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = [f for f in folders if not f.startswith(_DERIVED) and str(here / f) not in _LEFT_OUT]
        found += [here / f for f in files if str(here / f) not in _LEFT_OUT and _is_plain(Path(folder) / f)]
    return sorted(found)


def _has_content(path: Path) -> bool:
    """False where the file has gone meanwhile, too."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size > 0
    return False


def _is_plain(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _databases(root: Path, keys: _Keys) -> dict[Path, bytes]:
    """The databases and their keys."""
    found = {n: keys.of(n) for n in _names(root) if n.suffix == ".db" and not (root / n).is_symlink()}
    found = {n: key for n, key in found.items() if _has_content(root / n)}
    return {n: key for n, key in found.items() if key is not None}


def _other_files(root: Path, keys: _Keys, databases: Sequence[Path]) -> list[Path]:
    """What is no database, without the folders of databases that were created after the others had been copied."""
    taken = {Path(f"{name}{suffix}") for name in databases for suffix in ("", *_SUFFIXES)}
    late = {n.parent for n in _databases(root, keys) if n not in taken and n.parent.name != "staging"}
    return [n for n in _names(root) if n not in taken and n.parent not in late and not _is_late(n, keys)]


def _is_late(name: Path, keys: _Keys) -> bool:
    """Whether it is a database, or a part of one, that could be opened but was not there."""
    base = next((Path(str(name).removesuffix(s)) for s in _SUFFIXES if name.name.endswith(f".db{s}")), name)
    return base.suffix == ".db" and keys.of(base) is not None


def _copy_databases(data: DataDirectory, keys: _Keys, part: Path) -> list[Path]:
    """Copies all databases as they are at one moment. Returns their names."""
    reason = ""
    for _ in range(_ATTEMPTS):
        databases = _databases(data.root, keys.again())
        try:
            with _held(data.root, databases, keys, part):
                if gone := copy_files(data.root, databases, part):
                    raise _Changed(f"{gone[0]} was removed")
            return list(databases)
        except (DatabaseError, FileNotFoundError, AfterimageIndexError, _Changed) as error:
            if isinstance(error, AfterimageIndexError) and all(_has_content(data.root / n) for n in databases):
                raise  # it is damaged, and not deleted by a call  # a writer took longer, or a file has gone
            reason = f"{type(error).__name__}: {error}"
            for left in part.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    raise BackupFailed(f"the databases could not be held at one moment ({reason}); try again when less is written")


class _Changed(Exception):
    """Databases were created or removed meanwhile."""


@contextlib.contextmanager
def _held(root: Path, databases: Mapping[Path, bytes], keys: _Keys, part: Path) -> Iterator[None]:
    """Inside the block the files of the databases stay as they are at its beginning, and their logs are copied."""
    with ExitStack() as readers:
        with ExitStack() as writers:
            opened = [_connection(root / name, key, readers) for name, key in databases.items()]
            holding = [_connection(root / name, key, writers) for name, key in databases.items()]
            for connection in holding:
                connection.execute("BEGIN IMMEDIATE")
            if _databases(root, keys.again()).keys() != databases.keys():
                raise _Changed("databases were created or removed")
            for connection in opened:
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            for name in databases:
                _copy_log(root / f"{name}-wal", part / f"{name}-wal")
            for connection in holding:
                connection.execute("ROLLBACK")
        yield


def _connection(path: Path, key: bytes, stack: ExitStack) -> Connection:
    connection = connect(path, key, create=False)
    stack.callback(connection.close)
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    return connection


def _copy_log(source: Path, target: Path) -> None:
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copyfile(source, target)
        target.chmod(0o600)


def _check(part: Path, names: Sequence[Path], keys: _Keys) -> None:
    """Opens every database of the copy, which completes it from its log, and checks all of its pages."""
    for name in names:
        key = keys.of(name)
        assert key is not None
        with contextlib.closing(connect(part / name, key, create=False)) as connection:
            problems = list(integrity_problems(connection))
            if problems:
                raise BackupFailed(f"{name} is damaged: {problems[0]}; see `afterimage doctor`")
            checkpoint(connection)
