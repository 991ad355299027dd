"""Snapshots: the rows in memory, written to disk so that a start need not read the whole store.

A snapshot is derived and disposable. It is a directory of two encrypted files and a manifest, written under another
name, fsynced, renamed, and the parent fsynced. The manifest carries the sequence number that it covers and the SHA-256
of each file, under a MAC; all is checked before FAISS reads a byte. docs/formats/snapshot.md describes it.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.attributes import attributes_from_json, attributes_to_json
from index.crypto import decrypt_file, derive_key, encrypt_file
from index.errors import SnapshotDamaged
from index.faiss_flat import FAISS_VERSION, FlatBlock
from index.layout import TEMPORARY_PREFIX, CollectionLayout
from index.model import CollectionSpec, StoredRecord
from index.rows import View, gather
from index.store import RowChange

FORMAT = 1
_VECTORS, _ROWS, _MANIFEST = "vectors.enc", "rows.enc", "manifest.json"
_ROW = struct.Struct("<qqII")
ReadRows = Callable[[list[int]], dict[int, StoredRecord]]


@dataclass(frozen=True)
class Loaded:
    """A snapshot in memory: the block, and per row of it what the rows need to know."""

    sequence: int
    block: FlatBlock
    rows: list[RowChange]


class SnapshotFiles:
    """Writes and loads the snapshots of one collection."""

    def __init__(self, layout: CollectionLayout, key: bytes, spec: CollectionSpec) -> None:
        self._layout = layout
        self._key = derive_key(key, "snapshot")
        self._mac_key = derive_key(key, "snapshot manifest")
        self._spec = spec

    def write(self, view: View, read_rows: ReadRows) -> Path:
        """Writes a snapshot of the live rows of `view`, whose attributes come from `read_rows`; deletes older ones.

        Rows that the store changed since are left out: the replay brings them. Raises OSError where the disk refuses;
        an earlier snapshot is then still there.
        """
        slots, records = _unchanged_rows(view, read_rows)
        vectors = gather(view, slots) if len(slots) else np.zeros((0, self._spec.dimension), np.float32)
        contents = {
            _VECTORS: encrypt_file(self._key, self._purpose(_VECTORS), FlatBlock.from_vectors(vectors).to_bytes()),
            _ROWS: encrypt_file(self._key, self._purpose(_ROWS), _pack_rows(records)),
        }
        contents[_MANIFEST] = self._manifest(view.sequence, len(records), contents)
        final = self._layout.snapshot(view.sequence)
        _write_directory(final, contents)
        for _, older in self._layout.snapshots():
            if older != final:
                shutil.rmtree(older)
        return final

    def load_newest(self, store_sequence: int) -> tuple[Loaded | None, list[Path]]:
        """The newest snapshot that passes its checks, and the damaged ones that were set aside on the way. One that is
        newer than the store (whose last write is `store_sequence`) counts as damaged: it belongs to another store."""
        damaged: list[Path] = []
        for leftover in self._layout.leftovers():
            shutil.rmtree(leftover)
        for _, path in self._layout.snapshots():
            try:
                loaded = self.load(path)
                if loaded.sequence > store_sequence:
                    raise SnapshotDamaged(f"{path.name} is newer than the store")
                return loaded, damaged
            except SnapshotDamaged:
                aside = self._layout.damaged(path)
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)
                damaged.append(aside)
        return None, damaged

    def load(self, path: Path) -> Loaded:
        """Checks a snapshot and loads it. Raises SnapshotDamaged."""
        try:
            manifest = json.loads((path / _MANIFEST).read_bytes())
            contents = {name: (path / name).read_bytes() for name in (_VECTORS, _ROWS)}
        except (OSError, ValueError) as error:
            raise SnapshotDamaged(f"{path.name}: {error}") from error
        self._check(path, manifest, contents)
        plain = {name: decrypt_file(self._key, self._purpose(name), content) for name, content in contents.items()}
        block = FlatBlock.from_bytes(plain[_VECTORS], self._spec.dimension)
        rows = _unpack_rows(plain[_ROWS], self._spec.encoder_fingerprint)
        if len(rows) != block.rows:
            raise SnapshotDamaged(f"{path.name}: {len(rows)} rows but {block.rows} vectors")
        return Loaded(manifest["sequence"], block, rows)

    def _check(self, path: Path, manifest: object, contents: dict[str, bytes]) -> None:
        if not isinstance(manifest, dict) or not isinstance(manifest.get("mac"), str):
            raise SnapshotDamaged(f"{path.name}: the manifest has no MAC")
        if not hmac.compare_digest(manifest["mac"].encode(), self._mac(manifest).encode()):
            raise SnapshotDamaged(f"{path.name}: the manifest was changed")
        expected = {
            "format": FORMAT,
            "faiss_version": FAISS_VERSION,
            "encoder_fingerprint": self._spec.encoder_fingerprint,
            "files": _checksums(contents),
        }
        for name, value in expected.items():
            if manifest.get(name) != value:
                raise SnapshotDamaged(f"{path.name}: {name} is not what it must be")

    def _manifest(self, sequence: int, rows: int, contents: dict[str, bytes]) -> bytes:
        manifest: dict[str, object] = {
            "format": FORMAT,
            "sequence": sequence,
            "rows": rows,
            "dimension": self._spec.dimension,
            "encoder_fingerprint": self._spec.encoder_fingerprint,
            "faiss_version": FAISS_VERSION,
            "files": _checksums(contents),
        }
        return json.dumps({**manifest, "mac": self._mac(manifest)}, indent=1).encode()

    def _mac(self, manifest: dict[str, object]) -> str:
        body = {name: value for name, value in manifest.items() if name != "mac"}
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        return hmac.new(self._mac_key, canonical, hashlib.sha256).hexdigest()

    def _purpose(self, name: str) -> str:
        return f"snapshot/{FORMAT}/{name}"


def _unchanged_rows(view: View, read_rows: ReadRows) -> tuple[np.ndarray, list[StoredRecord]]:
    slots = np.array(view.live, np.int64)
    stored = read_rows(view.row_ids[slots].tolist())
    keep, records = [], []
    for slot, row_id, sequence in zip(slots, view.row_ids[slots].tolist(), view.sequences[slots].tolist(), strict=True):
        record = stored.get(row_id)
        if record is not None and record.sequence == sequence:
            keep.append(slot)
            records.append(record)
    return np.array(keep, np.int64), records


def _checksums(contents: dict[str, bytes]) -> dict[str, dict[str, object]]:
    return {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(contents.items())
        if name != _MANIFEST
    }


def _pack_rows(records: list[StoredRecord]) -> bytes:
    out = io.BytesIO()
    for record in records:
        product, attributes = record.product_id.encode(), attributes_to_json(record.attributes).encode()
        out.write(_ROW.pack(record.row_id, record.sequence, len(product), len(attributes)))
        out.write(product)
        out.write(attributes)
    return out.getvalue()


def _unpack_rows(content: bytes, fingerprint: str) -> list[RowChange]:
    rows, at = [], 0
    try:
        while at < len(content):
            row_id, sequence, product_bytes, attribute_bytes = _ROW.unpack_from(content, at)
            at += _ROW.size
            product = content[at : at + product_bytes].decode()
            at += product_bytes
            attributes = attributes_from_json(content[at : at + attribute_bytes].decode())
            at += attribute_bytes
            record = StoredRecord(row_id, "", product, attributes, None, fingerprint, sequence, 0, 0)
            rows.append(RowChange(row_id, record))
    except (struct.error, ValueError) as error:
        raise SnapshotDamaged(f"the rows do not parse: {error}") from error
    return rows


def _write_directory(final: Path, contents: dict[str, bytes]) -> None:
    temporary = final.with_name(TEMPORARY_PREFIX + final.name)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        for name, content in contents.items():
            _write_synced(temporary / name, content)
        _sync_directory(temporary)
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
        _sync_directory(final.parent)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
