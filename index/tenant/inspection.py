"""What is wrong with the files of a tenant's directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from index.manifest.change_number import check_number
from index.manifest.listed_database import check_salt, opened
from index.manifest.manifest import State, Thing
from index.manifest.opening import LISTED
from index.manifest.settling import KEPT, RECORDS, kept_path
from index.records.backup_manifest import read_manifest
from index.storage.crypto import derive_key
from index.storage.layout import CollectionLayout, TenantLayout
from index.storage.sqlite import Connection, check_there, integrity_problems, store_errors
from index.types.errors import DataFault, SnapshotDamaged, StoreDamaged, StoreUnavailable

_STORE = "collection store"


def file_faults(layout: TenantLayout, things: Mapping[str, Thing]) -> Iterator[DataFault]:
    """Databases that are listed and missing, empty, or other ones; without opening them."""
    for thing in _databases(things):
        try:
            check_salt(layout.root / thing.name, thing.salt)
        except DataFault as fault:
            yield fault


def deep_faults(layout: TenantLayout, data_key: bytes, things: Mapping[str, Thing]) -> Iterator[DataFault]:
    """The same, and those that do not open or are older copies. One that was not closed is passed over, since its next
    opening is to find out what died in it."""
    for thing in _databases(things):
        path = layout.root / thing.name
        log = path.with_name(path.name + "-wal")
        try:
            check_salt(path, thing.salt)
            if log.exists() and log.stat().st_size:
                continue
            purpose = LISTED.get(thing.name, _STORE)
            with closing(opened(path, derive_key(data_key, purpose))) as connection, store_errors(path):
                check_number(connection, path, thing.number)
                if thing.name in LISTED:  # the pages of a collection's database `index verify` looks at
                    check_pages(connection, path)
        except DataFault as fault:
            yield fault
        except StoreDamaged:
            yield DataFault(path, "is damaged", alone=path.name == "records.db")
        except StoreUnavailable as error:
            yield DataFault(path, f"cannot be opened: {error}", alone=path.name == "records.db")


def check_pages(connection: Connection, path: Path) -> None:
    """Raises DataFault where a page of a database does not stand its check."""
    for problem in integrity_problems(connection):
        raise DataFault(path, f"is damaged: {problem}")


def remarks(
    layout: TenantLayout, data_key: bytes, things: Mapping[str, Thing], homes: dict[str, str]
) -> Iterator[str]:  # fmt: skip
    """What is listed and gone or damaged, or there and not listed, and keeps nobody from being served: kept snapshots,
    directories of collections. homes: uids of the collections, by home. No content of a database is read."""
    for thing in things.values():
        if KEPT in thing.name and thing.state is State.PRESENT:
            yield from _kept_problem(kept_path(layout, thing.name, homes), data_key)
    uids = set(homes.values()) | {t.name.removesuffix(RECORDS) for t in things.values()}
    for uid in layout.collection_uids():
        if uid not in uids:
            yield f"directory {layout.collection(uid).root} is not listed; it is unchanged"
    for home, folder in _kept_folders(layout, homes):
        for path in folder.kept_snapshots():
            if f"{home}/{path.name}" not in things:
                yield f"kept snapshot {path} is not listed; it is unchanged"


def _kept_problem(path: Path, data_key: bytes) -> Iterator[str]:
    if not path.is_dir():
        yield f"kept snapshot {path} is missing"
        return
    try:
        check_there(path / read_manifest(path, data_key)[0].file)
    except (SnapshotDamaged, DataFault, OSError) as error:
        yield f"kept snapshot {path} cannot be restored: {error}"


def _kept_folders(layout: TenantLayout, homes: dict[str, str]) -> Iterator[tuple[str, CollectionLayout]]:
    for home, uid in homes.items():
        yield home, layout.collection(uid)
    if layout.retained.is_dir():
        for path in sorted(layout.retained.iterdir()):
            yield path.name, CollectionLayout(path)


def _databases(things: Mapping[str, Thing]) -> Iterator[Thing]:
    for thing in things.values():
        if thing.state is State.PRESENT and (thing.name in LISTED or thing.name.endswith(RECORDS)):
            yield thing
