"""Repairs a tenant's directory from what is there. Nothing is removed: what cannot be used is set aside.

To be called where nobody else has the directory open. Each step says beforehand what it does and what is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from index.manifest.change_number import noted_generation, number_of
from index.manifest.entries import MIGRATIONS, Entry, entry_of, read_entries, records_name
from index.manifest.listed_database import opened
from index.manifest.manifest import Manifest, State, Thing, salt_of
from index.manifest.opening import LISTED, found_things
from index.manifest.settling import RECORDS
from index.records.catalog import Catalog
from index.records.queries import read_sequence
from index.storage.crypto import derive_key
from index.storage.layout import TenantLayout
from index.storage.sqlite import DatabaseError, migrate
from index.tenant.inspection import check_pages, deep_faults, remarks
from index.tenant.records_repair import RecordsRepair, RepairStep
from index.types.errors import AfterimageIndexError, DataFault

_STORE = "collection store"


class Repair:
    """Of one tenant."""

    def __init__(self, layout: TenantLayout, data_key: bytes) -> None:
        self._layout, self._key = layout, data_key
        self._records = RecordsRepair(layout, data_key)

    def steps(self) -> list[RepairStep]:
        """What is to be done, as far as it can be seen: once it is done more may show, so ask until there is none.
        Raises OSError or StoreUnavailable."""
        manifest, entries = self._manifest(), self._entries()
        if entries is None and manifest is None:
            if not self._layout.collection_uids() and not self._layout.collections.exists():
                return [self._manifest_anew()]
            return [self._list_from_collections()]
        if entries is None and manifest is not None:
            return [self._list_from_manifest(manifest)]
        if manifest is None or self._is_older(manifest, entries or []):
            return [self._manifest_anew()]
        faults = list(deep_faults(self._layout, self._key, manifest.things()))
        return [self._mend(manifest, fault) for fault in faults] or list(self._overtaken(entries or []))

    def remarks(self) -> list[str]:
        """What nothing here can mend and keeps nobody from being served, such as a kept snapshot that is gone; empty
        where what is listed is not known. Raises OSError or StoreUnavailable."""
        manifest, entries = self._manifest(), self._entries()
        if manifest is None or entries is None:
            return []
        return list(remarks(self._layout, self._key, manifest.things(), {e.home: e.uid for e in entries}))

    def _overtaken(self, entries: list[Entry]) -> Iterator[RepairStep]:
        """Snapshots that are newer than their store, which is an older copy."""
        for entry in entries:
            layout = self._layout.collection(entry.uid)
            newest = max((sequence for sequence, _ in layout.snapshots()), default=0)
            with suppress(AfterimageIndexError, DatabaseError):
                with closing(opened(layout.records, derive_key(self._key, _STORE))) as connection:
                    last = read_sequence(connection)
                if last < newest:
                    description = (
                        f"{layout.records} is an older copy: its last write has number {last}, a snapshot has "
                        f"{newest}; it is accepted as it is, {newest - last} writes are lost, and the snapshot is "
                        "set aside"
                    )
                    yield RepairStep(description, partial(self._aside_all, [p for _, p in layout.snapshots()]))

    def _aside_all(self, paths: list[Path]) -> None:
        for path in paths:
            self._records.aside(path)

    # ---- what is there

    def _manifest(self) -> Manifest | None:
        path = self._layout.manifest
        if not path.exists() or not path.is_file() or not path.stat().st_size:
            return None
        try:
            manifest = Manifest(path, self._key)
            manifest.check_pages()
            return manifest if manifest.generation() else None
        except (AfterimageIndexError, DatabaseError):
            return None

    def _entries(self) -> list[Entry] | None:
        path = self._layout.collections
        if not path.exists() and not self._layout.collection_uids():
            return []
        try:
            with closing(opened(path, derive_key(self._key, LISTED[path.name]))) as connection:
                migrate(connection, MIGRATIONS, str(path))
                check_pages(connection, path)
                return read_entries(connection)
        except (AfterimageIndexError, DatabaseError):
            return None

    def _is_older(self, manifest: Manifest, entries: list[Entry]) -> bool:
        things = manifest.things()
        if any(records_name(e.uid) not in things for e in entries):
            return True
        return self._noted_generation() > manifest.generation()

    def _noted_generation(self) -> int:
        """Which the manifest had when `collections.db` was last changed; 0 where there is no such file."""
        path = self._layout.collections
        if not path.exists():
            return 0
        with closing(opened(path, derive_key(self._key, LISTED[path.name]))) as connection:
            return noted_generation(connection)

    # ---- lists

    def _manifest_anew(self) -> RepairStep:
        def run() -> None:
            self._records.aside(self._layout.manifest)
            things = tuple(found_things(self._layout, self._key))
            Manifest(self._layout.manifest, self._key).put(*things, generation=self._noted_generation())

        return RepairStep(f"{self._layout.manifest} is unusable: it is recreated from the existing files", run)

    def _list_from_manifest(self, manifest: Manifest) -> RepairStep:
        named = [
            entry_of(name.removesuffix(RECORDS), thing.details)
            for name, thing in manifest.things().items()
            if name.endswith(RECORDS) and thing.state is State.PRESENT
        ]
        return self._list_anew(manifest, named, "the manifest")

    def _list_from_collections(self) -> RepairStep:
        named = [e for uid in self._layout.collection_uids() if (e := self._told_by(uid)) is not None]
        left = len(self._layout.collection_uids()) - len(named)
        said = "the collections' own data"
        if left:
            said += f"; {left} directories without data are unchanged"
        return self._list_anew(None, named, said)

    def _list_anew(self, manifest: Manifest | None, named: list[Entry], source: str) -> RepairStep:
        path, names = self._layout.collections, ", ".join(sorted(e.spec.name for e in named))

        def run() -> None:
            self._records.aside(path)
            made = manifest
            if made is None:
                self._records.aside(self._layout.manifest)
                made = Manifest(self._layout.manifest, self._key)
                made.put()
            made.drop_later(path.name)
            made.flush()
            catalog = Catalog(path, self._key, made)
            for entry in named:
                catalog.enter(entry)
            made.flush()
            if manifest is None:
                made.put(*found_things(self._layout, self._key))

        return RepairStep(f"{path} is unusable: it is recreated from {source}: {names or 'no collection'}", run)

    def _told_by(self, uid: str) -> Entry | None:
        """What a collection's database says of itself, or else the newest of its kept snapshots."""
        layout = self._layout.collection(uid)
        with suppress(AfterimageIndexError, DatabaseError, ValueError, KeyError, TypeError):
            with closing(opened(layout.records, derive_key(self._key, _STORE))) as connection:
                row = connection.execute("SELECT value FROM meta WHERE name = 'collection'").fetchone()
            if row is not None:
                return entry_of(uid, json.loads(row[0]))
        kept = self._records.newest_kept(layout)
        return None if kept is None else Entry(uid, kept[0].home or uid, kept[0].spec)

    def _mend(self, manifest: Manifest, fault: DataFault) -> RepairStep:
        path = fault.path
        name = str(path.relative_to(self._layout.root))
        thing = manifest.things()[name]
        number = self._number(path, thing)
        if number is not None:
            description = f"{path} {fault.problem}: it is accepted as it is; later changes are lost"
            return RepairStep(description, partial(manifest.put, replace(thing, number=number)))
        if name.endswith(RECORDS):
            return self._records.step_for(manifest, thing, fault)
        if name == self._layout.collections.name:
            return self._list_from_manifest(manifest)

        def run() -> None:
            self._records.aside(path)
            manifest.drop_later(name)
            manifest.flush()

        return RepairStep(f"{path} {fault.problem}: it is recreated empty; its content is lost", run)

    def _number(self, path: Path, thing: Thing) -> int | None:
        """The number of a database that is the right one and whole, but older; else None."""
        if path.name == self._layout.collections.name or salt_of(path) != thing.salt:
            return None
        key = derive_key(self._key, LISTED.get(path.name, _STORE))
        with suppress(AfterimageIndexError, DatabaseError), closing(opened(path, key)) as connection:
            if path.name in LISTED:
                check_pages(connection, path)
            return number_of(connection)
        return None
