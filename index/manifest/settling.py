"""Bringing to an end, or taking back, what a tenant's directory was in the middle of when the process ended.

Nothing is removed here but what a call asked to be removed and had begun to.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from index.manifest.entries import Entry, records_name
from index.manifest.manifest import Manifest, State, Thing, salt_of
from index.storage.durable_files import make_directory, remove_tree, rename, set_aside
from index.storage.layout import TenantLayout
from index.types.errors import DataFault

_LOG = logging.getLogger(__name__)
RECORDS = "/records.db"
KEPT = "/kept-"


class Settling:
    """Of one tenant."""

    def __init__(self, layout: TenantLayout, manifest: Manifest, entries: Sequence[Entry]) -> None:
        """`entries`: what `collections.db` names."""
        self._layout, self._manifest = layout, manifest
        self._listed = {records_name(e.uid): e for e in entries}
        self._homes = {e.home: e.uid for e in entries}

    def run(self) -> dict[str, Thing]:
        """Settles everything; returns what is listed then. Raises DataFault where list and manifest differ, OSError."""
        things = self._manifest.things()
        for name in self._listed:
            if name not in things:
                raise DataFault(self._layout.manifest, f"does not list {name}, which collections.db names")
        for thing in things.values():
            if thing.name.endswith(RECORDS):
                self._collection(thing)
        for thing in things.values():
            if KEPT in thing.name and thing.state is not State.PRESENT:
                self._kept(thing)
        self._manifest.flush()
        return self._manifest.things()

    def _collection(self, thing: Thing) -> None:
        root = (self._layout.root / thing.name).parent
        if thing.name in self._listed:
            if thing.state is not State.PRESENT or not thing.salt:
                self._manifest.later(replace(thing, state=State.PRESENT, salt=salt_of(root / "records.db")))
        elif thing.state is State.CREATING:
            if root.exists():
                _LOG.warning("collection directory %s is incomplete; it was set aside", root.name)
                set_aside(root, self._layout.set_aside)
            self._manifest.drop_later(thing.name)
        elif thing.state is State.DELETING:
            remove_collection(self._layout, self._manifest, thing, self._homes.get(thing.details["home"]))
        else:
            raise DataFault(self._layout.collections, f"does not name {thing.name}, which the manifest lists")

    def _kept(self, thing: Thing) -> None:
        path = kept_path(self._layout, thing.name, self._homes)
        if thing.state is State.CREATING and path.exists():
            self._manifest.later(replace(thing, state=State.PRESENT, salt=salt_of(path / "records.db")))
        else:
            if thing.state is State.DELETING:
                remove_tree(path)
            self._manifest.drop_later(thing.name)


def remove_collection(layout: TenantLayout, manifest: Manifest, thing: Thing, heir: str | None) -> None:
    """Removes the directory of a collection that `collections.db` does not name any more. Its kept snapshots are moved
    to its heir, the collection that took its place, or else to where those of collections that are gone are retained;
    unless the manifest says that they go, too. Raises OSError."""
    root, home = (layout.root / thing.name).parent, thing.details["home"]
    kept, gone = layout.collection(root.name).kept_snapshots(), []
    if thing.details.get("with_kept"):
        gone = [name for name in manifest.things() if name.startswith(home + KEPT)]
    elif kept:
        target = layout.collection(heir).root if heir else layout.retained / home
        make_directory(target)
        for path in kept:
            rename(path, target / path.name)
    remove_tree(root)
    manifest.drop_later(thing.name, *gone)


def kept_path(layout: TenantLayout, name: str, homes: dict[str, str]) -> Path:
    """Where a kept snapshot lies. name: in the manifest; homes: uids of the collections that there are, by home."""
    home, directory = name.split("/")
    root = layout.collection(homes[home]).root if home in homes else layout.retained / home
    return root / directory
