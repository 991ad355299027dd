"""Changes the master key of a data directory.

The registry is rewritten under the new key and replaces the old file atomically. Data keys do not change, so that no
tenant's data is touched.
"""

from __future__ import annotations

from pathlib import Path

from index import DataFault, WrongKey
from index.storage import (
    NEWEST_PAGE_FORMAT,
    checkpoint,
    connect,
    integrity_problems,
    rename,
    set_format,
    step,
    write_synced,
)
from service.errors import SettingError
from service.tenancy.companions import remove_copy
from service.tenancy.masterkey import MasterKey, load_master_key, new_key_text
from service.tenancy.registry import SECRET_OWNER

_TABLES = (("tenants", "uid", "wrapped_key", ""), ("secrets", "name", "wrapped", SECRET_OWNER))


def next_file(path: Path) -> Path:
    """The path of a new file before it replaces another."""
    return path.with_name(path.name + ".next")


def rewrap(registry: Path, old: MasterKey, new: MasterKey) -> int:
    """Re-encrypts a registry under another master key. Returns the number of rewrapped keys.

    No other process may have it open. Raises WrongKey if `old` does not open it, StoreUnavailable, or SettingError if
    the copy is damaged.
    """
    copy = next_file(registry)
    copy.unlink(missing_ok=True)
    holding = connect(registry, old.derive("tenant registry"))
    try:
        checkpoint(holding)
        holding.execute("BEGIN IMMEDIATE")  # no process may write what the copy would lack
        _copy_under(registry, old, copy, new)
        step("the registry is copied")
        count = _rewrap_keys(copy, old, new)
        rename(copy, registry)
        remove_copy(registry)  # the standby copy, which the old master key opens
    finally:
        holding.close()
    return count


def rewrap_with_file(registry: Path, key_file: Path, old: MasterKey) -> int:
    """The same with a new random key that replaces the key file.

    If it is interrupted at any point, `finish` or another call completes it.
    """
    finish(registry, key_file)  # a pending key may be the only one that opens the registry
    waiting = next_file(key_file)
    waiting.unlink(missing_ok=True)
    waiting.touch(0o600)
    write_synced(waiting, new_key_text().encode())
    step("the new master key waits")
    count = rewrap(registry, old, load_master_key(waiting, None, create=False))
    rename(waiting, key_file)
    return count


def finish(registry: Path, key_file: Path) -> bool:
    """Completes an interrupted change, and returns whether there was one.

    It moves the new key into place if the registry is already encrypted under it.
    """
    waiting = next_file(key_file)
    if not waiting.exists():
        return False
    try:
        connect(registry, load_master_key(waiting, None, create=False).derive("tenant registry"), create=False).close()
    except (WrongKey, SettingError, DataFault):
        return False
    remove_copy(registry)
    rename(waiting, key_file)
    return True


def _copy_under(registry: Path, old: MasterKey, copy: Path, new: MasterKey) -> None:
    database = connect(registry, old.derive("tenant registry"))
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        key = new.derive("tenant registry").hex()
        database.execute(f"ATTACH DATABASE ? AS next KEY \"x'{key}'\"", (str(copy),))
        set_format(database, NEWEST_PAGE_FORMAT, "next")
        database.execute("SELECT sqlcipher_export('next')").fetchall()
        database.execute(f"PRAGMA next.user_version = {version}")
        database.execute("DETACH DATABASE next")
    finally:
        database.close()


def _rewrap_keys(copy: Path, old: MasterKey, new: MasterKey) -> int:
    database = connect(copy, new.derive("tenant registry"))
    count = 0
    try:
        database.execute("BEGIN IMMEDIATE")
        for table, name, column, owner in _TABLES:
            query = f"SELECT {name}, {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608 - no input
            for key, wrapped in database.execute(query).fetchall():
                again = new.wrap(old.unwrap(bytes(wrapped), owner + key), owner + key)
                database.execute(f"UPDATE {table} SET {column} = ? WHERE {name} = ?", (again, key))  # noqa: S608
                count += 1
        database.execute("COMMIT")
        problems = list(integrity_problems(database))
        if problems:
            raise SettingError(f"the copy of the registry is damaged; nothing was changed: {problems[0]}")
        checkpoint(database)
        database.execute("PRAGMA journal_mode = DELETE").fetchall()
    finally:
        database.close()
    return count
