"""Snapshots: the rows in memory, written to disk so that a start need not read the whole store.

A snapshot is derived and disposable. It is a directory of encrypted files and a manifest, written under another name,
fsynced, renamed, and the parent fsynced. The manifest carries the sequence number that it covers and, of each file,
the SHA-256 and the random prefix of its encryption, under a MAC. Chunks of rows that an earlier snapshot holds
unchanged are linked, not written again. docs/formats/snapshot.md describes it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from index.contract import IndexSite
from index.speed.gil_yield import yield_to_searches
from index.storage.crypto import PREFIX_BYTES, decrypt_into, derive_key, encrypted_frames, plain_size
from index.storage.durable_files import mapped_file, remove_tree, rename, replace_directory, synced_file, write_synced
from index.storage.layout import CollectionLayout
from index.storage.regular_files import read_regular
from index.types.changes import SequenceRange
from index.types.collection import CollectionSpec
from index.types.errors import DataFault, SnapshotDamaged
from index.vectors.ann.ann_index import AnnIndex
from index.vectors.ann.centering import CenteringTransform
from index.vectors.ann.faiss_index import FAISS_VERSION
from index.vectors.arrays.float16_matrix import Float16Matrix
from index.vectors.segment.payloads import CHUNK_ROWS
from index.vectors.segment.rows import Rows
from index.vectors.segment.view import View
from index.vectors.snapshots.manifest import MANIFEST, SnapshotManifests, purpose_of, transform_uid
from index.vectors.snapshots.parts import (
    SKETCHES,
    load_rows,
    pack_chunk,
    pack_columns,
    pack_rows,
    pack_signatures,
    pack_vectors,
    signed_through,
)

_LOG = logging.getLogger(__name__)
_ROWS, _COLUMNS, _ANN_INDEX = "rows.enc", "columns.enc", "base.enc"
_DECRYPTED_AT_ONCE = 2


@dataclass(frozen=True)
class Loaded:
    """A snapshot in memory. `without_ann_index`: why its ANN index could not be used; empty where it could, or had
    none."""

    sequence: int
    rows: Rows
    lineage: str
    without_ann_index: str = ""


class SnapshotFiles:
    """Writes, checks and loads the snapshots of one collection."""

    def __init__(self, spec: CollectionSpec, site: IndexSite) -> None:
        self._layout, self._spec = CollectionLayout(site.directory), spec
        self._key = derive_key(site.key, "snapshot")
        self._manifests = SnapshotManifests(spec, site)

    def write(self, view: View, lineage: str) -> Path:
        """Writes a snapshot of `view`, erased rows as zeros; deletes older ones. `lineage`: random, the same as long as
        a slot means the same row. Raises OSError where the disk refuses; an earlier snapshot is then still there."""
        final = self._layout.snapshot(view.sequence)
        earlier = next((path for _, path in self._layout.snapshots()), None)
        known = self._manifests.read_if_whole(earlier) if earlier is not None else {}
        manifest = self._manifests.head(view, lineage)
        same = known.get("lineage") == lineage
        with replace_directory(final) as folder:
            for name, content, stamp in self._parts(view):
                old = known.get("files", {}).get(name) if same else None
                if old is not None and old["stamp"] == stamp and earlier is not None:
                    os.link(earlier / name, folder / name)
                    manifest["files"][name] = old
                else:
                    frames = encrypted_frames(self._key, purpose_of(name), content())
                    manifest["files"][name] = _written(folder / name, frames, stamp)
            write_synced(folder / MANIFEST, self._manifests.signed(manifest))
        for _, older in self._layout.snapshots():
            if older != final:
                remove_tree(older)
        return final

    def load_newest(
        self, store: SequenceRange, transform: CenteringTransform | None
    ) -> tuple[Loaded | None, list[Path]]:
        """The newest snapshot that passes its checks, and the damaged ones that were set aside on the way. One from
        before deletions that the store has forgotten counts as damaged: it would bring them back. One whose rows are
        not seen from `transform` was overtaken by a crash, and is passed over. Raises DataFault where a snapshot of
        this collection is newer than the store: the store is an older copy."""
        damaged: list[Path] = []
        for leftover in self._layout.leftovers():
            shutil.rmtree(leftover)
        for _, path in self._layout.snapshots():
            try:
                sequence = self._manifests.read(path)["sequence"]
                if sequence > store.last:
                    raise DataFault(
                        self._layout.records,
                        f"is an older copy: its last write has number {store.last}, the one in {path.name} has "
                        f"{sequence}",
                    )
                if sequence < store.forgotten:
                    raise SnapshotDamaged(f"{path.name} is older than deletions whose tombstones were removed")
                loaded = self.load(path, transform)
                if loaded is not None:
                    return loaded, damaged
            except SnapshotDamaged as error:
                _LOG.warning("%s: a snapshot failed its checks: %s", self._layout.root.name, error)
                damaged.append(self._set_aside(path))
        return None, damaged

    def paths(self) -> list[Path]:
        """The snapshots that are there, the newest first. Another process may remove them meanwhile."""
        return [path for _, path in self._layout.snapshots()]

    def newest_manifest(self) -> dict[str, Any]:
        """What the newest snapshot says of itself; empty where there is none, or it cannot be read."""
        newest = next(iter(self.paths()), None)
        return {} if newest is None else self._manifests.read_if_whole(newest)

    @property
    def records(self) -> Path:
        """The file of the store beside them."""
        return self._layout.records

    def _set_aside(self, path: Path) -> Path:
        aside, number = self._layout.damaged(path), 1
        while aside.exists():
            number += 1
            aside = aside.with_name(f"{self._layout.damaged(path).name}-{number}")
        rename(path, aside)
        return aside

    def load(self, path: Path, transform: CenteringTransform | None) -> Loaded | None:
        """Checks a snapshot and loads it; None where its rows are seen from another transform. Raises
        SnapshotDamaged."""
        manifest = self._manifests.read(path)
        if manifest["frame"] != transform_uid(transform):
            return None
        rows = load_rows(manifest, self._spec.dimension, transform)
        with ThreadPoolExecutor(_DECRYPTED_AT_ONCE) as threads:  # what more is to be done with comes first
            others = [name for name in manifest["files"] if name not in {*rows.rooms, _ANN_INDEX}]
            read = {name: threads.submit(self._plain, path, name, manifest) for name in others}
            ann_index = threads.submit(self._ann_index, path, manifest, rows.float16)
            filled = {name: threads.submit(self._fill, path, name, manifest, room) for name, room in rows.rooms.items()}
            loaded = rows.finished({name: future.result() for name, future in read.items()})
        for name, future in filled.items():
            if not name.startswith(SKETCHES):
                future.result()
        why = ""
        try:
            for future in filled.values():  # of the signatures; without one of them the ANN index is of no use
                future.result()
            if (made := ann_index.result()) is not None:
                loaded.set_ann_index(made, rows.signatures)
        except SnapshotDamaged as error:
            why = str(error)
        return Loaded(manifest["sequence"], loaded, manifest["lineage"], why)

    def all_problems(self) -> Iterator[str]:
        """What is wrong with any snapshot that is there."""
        for _, path in self._layout.snapshots():
            yield from self.problems(path)

    def problems(self, path: Path) -> Iterator[str]:
        """What is wrong with a snapshot, a line for each file; nothing where it is whole."""
        try:
            manifest = self._manifests.read(path)
        except SnapshotDamaged as error:
            yield str(error)
            return
        for name, said in manifest["files"].items():
            try:
                content = read_regular(path / name)
                if hashlib.sha256(content).hexdigest() != said["sha256"]:
                    raise SnapshotDamaged(f"{name}: its SHA-256 differs from the manifest")
                self._plain(path, name, manifest)
            except (OSError, SnapshotDamaged) as error:
                yield f"{path.name}: {error}"
        unknown = {p.name for p in path.iterdir()} - {*manifest["files"], MANIFEST}
        yield from (f"{path.name}: {name} does not belong to it" for name in sorted(unknown))

    def _parts(self, view: View) -> Iterator[tuple[str, Any, list[Any]]]:
        """Name, content when asked for, and a stamp: within a lineage an equal stamp means equal content."""
        for number, start in enumerate(range(0, view.count, CHUNK_ROWS)):
            end = min(start + CHUNK_ROWS, view.count)
            stamp = [end - start, view.live.range_cardinality(start, end)]
            yield f"vectors-{number:05d}.enc", lambda s=start, e=end: pack_vectors(view, s, e), stamp
            yield f"records-{number:05d}.enc", lambda s=start, e=end: pack_chunk(view, s, e), stamp
        for number, start in enumerate(range(0, view.ann_rows, CHUNK_ROWS)):
            end = min(start + CHUNK_ROWS, view.ann_rows)
            signature_rows = [end - start, view.live.range_cardinality(start, end), signed_through(view)]
            yield f"{SKETCHES}-{number:05d}.enc", lambda s=start, e=end: pack_signatures(view, s, e), signature_rows
        yield _ROWS, lambda: pack_rows(view), [view.sequence]
        yield _COLUMNS, lambda: pack_columns(view), [view.sequence]
        ann_index = view.ann_index
        if ann_index is not None:
            yield _ANN_INDEX, ann_index.to_bytes, [ann_index.uid]

    def _ann_index(self, path: Path, manifest: dict[str, Any], float16: Float16Matrix) -> AnnIndex | None:
        """The ANN index, over rows that need not be there yet; None where the snapshot has none. Raises
        SnapshotDamaged."""
        if _ANN_INDEX not in manifest["files"]:
            return None
        if manifest["faiss_version"] != FAISS_VERSION:
            raise SnapshotDamaged(f"{path.name}: its ANN index is from another version of FAISS")
        return AnnIndex.from_bytes(self._plain(path, _ANN_INDEX, manifest), float16)

    def _plain(self, path: Path, name: str, manifest: dict[str, Any]) -> bytearray:
        """The plain content of a file. Raises SnapshotDamaged."""
        content = self._encrypted(path, name, manifest)
        plain = bytearray(plain_size(len(content)))
        decrypt_into(self._key, purpose_of(name), content, memoryview(plain))
        return plain

    def _fill(self, path: Path, name: str, manifest: dict[str, Any], room: memoryview) -> None:
        """Writes the plain content of a file where there is room for it. Raises SnapshotDamaged."""
        content = self._encrypted(path, name, manifest)
        if plain_size(len(content)) != len(room):
            raise SnapshotDamaged(f"{path.name}: {name} has another size than its rows")
        decrypt_into(self._key, purpose_of(name), content, room)

    def _encrypted(self, path: Path, name: str, manifest: dict[str, Any]) -> memoryview:
        """A file: what the manifest speaks of, or SnapshotDamaged. AES-GCM vouches for each byte; the prefix says that
        it is this writing of the file and no other."""
        said = manifest["files"][name]
        try:
            content = mapped_file(path / name)
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise SnapshotDamaged(f"{path.name}: {error}") from error
        if len(content) != said["bytes"] or bytes(content[:PREFIX_BYTES]).hex() != said["prefix"]:
            raise SnapshotDamaged(f"{path.name}: {name} is not the file that the manifest speaks of")
        return content


def _written(path: Path, frames: Iterator[bytes], stamp: list[Any]) -> dict[str, Any]:
    """What the manifest says of a file, once it is on disk; searches go on between its frames."""
    prefix, digest = next(frames), hashlib.sha256()
    with synced_file(path) as file:
        for part in chain((prefix,), frames):
            yield_to_searches()
            file.write(part)
            digest.update(part)
        size = file.tell()
    return {"bytes": size, "sha256": digest.hexdigest(), "prefix": prefix.hex(), "stamp": stamp}
