"""The manifest of a snapshot: what it covers, of which collection it is, and of each file what it must be.

It is JSON under a MAC (HMAC-SHA256 with a key derived from the tenant's).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from pathlib import Path
from typing import Any

from index.contract import IndexSite
from index.storage.crypto import derive_key
from index.storage.regular_files import read_regular
from index.types.collection import CollectionSpec
from index.types.errors import SnapshotDamaged
from index.vectors.ann.centering import CenteringTransform
from index.vectors.ann.faiss_index import FAISS_VERSION
from index.vectors.segment.view import View

FORMAT = 3
MANIFEST = "manifest.json"


class SnapshotManifests:
    """Writes and checks the manifests of one collection's snapshots."""

    def __init__(self, spec: CollectionSpec, site: IndexSite) -> None:
        self._uid, self._spec, self._trusted = site.directory.name, spec, site.trusted
        self._key = derive_key(site.key, "snapshot manifest")

    def head(self, view: View, lineage: str) -> dict[str, Any]:
        """The manifest of a snapshot of `view`, without files yet."""
        return {
            "format": FORMAT,
            "collection": self._uid,
            "sequence": view.sequence,
            "rows": view.count,
            "base_rows": view.ann_rows,
            "records": view.records,
            "dimension": self._spec.dimension,
            "encoder_fingerprint": self._spec.encoder_fingerprint,
            "faiss_version": FAISS_VERSION,
            "lineage": lineage,
            "frame": transform_uid(view.transform),
            "files": {},
        }

    def signed(self, manifest: dict[str, Any]) -> bytes:
        """A manifest as it is written."""
        return json.dumps({**manifest, "mac": self.mac(manifest)}, indent=1).encode()

    def read(self, path: Path) -> dict[str, Any]:
        """The manifest of the snapshot in a directory. Raises SnapshotDamaged."""
        try:
            manifest = json.loads(read_regular(path / MANIFEST))
        except (OSError, ValueError) as error:
            raise SnapshotDamaged(f"{path.name}: {error}") from error
        if not isinstance(manifest, dict) or not isinstance(manifest.get("mac"), str):
            raise SnapshotDamaged(f"{path.name}: the manifest has no MAC")
        if not hmac.compare_digest(manifest["mac"].encode(), self.mac(manifest).encode()):
            raise SnapshotDamaged(f"{path.name}: the manifest was changed")
        listed = manifest["mac"] in self._trusted  # it was made when snapshots did not say whose they are
        if manifest.get("collection", self._uid if listed else "") != self._uid:
            raise SnapshotDamaged(f"{path.name}: it belongs to another collection")
        for name, value in (("format", FORMAT), ("encoder_fingerprint", self._spec.encoder_fingerprint)):
            if manifest.get(name) != value:
                raise SnapshotDamaged(f"{path.name}: {name} is invalid")
        return manifest

    def read_if_whole(self, path: Path) -> dict[str, Any]:
        """The same; empty where it fails its checks."""
        try:
            return self.read(path)
        except SnapshotDamaged:
            return {}

    def mac(self, manifest: dict[str, Any]) -> str:
        """The MAC over a manifest without its own, in hexadecimal."""
        body = {name: value for name, value in manifest.items() if name != "mac"}
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        return hmac.new(self._key, canonical, hashlib.sha256).hexdigest()


def new_lineage() -> str:
    """A name for rows that nobody else has."""
    return secrets.token_hex(8)


def transform_uid(transform: CenteringTransform | None) -> str:
    """Names the transform that rows are seen from; empty for none."""
    return "" if transform is None else transform.uid


def purpose_of(name: str) -> str:
    """What the encryption of a snapshot file is bound to."""
    return f"snapshot/{FORMAT}/{name}"
