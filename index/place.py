"""Where a collection lies, and what opens it."""

from __future__ import annotations

from dataclasses import dataclass

from index.crypto import derive_key
from index.layout import CollectionLayout
from index.model import CollectionSpec
from index.quota import Allowance


@dataclass(frozen=True)
class Place:
    """Where a collection lies and what opens it. key: the tenant's data key, 32 bytes; allowance: what the tenant may
    store, None without a limit; home: where its copies of pictures lie in object storage; owner: uid
    of the tenant; region: where its data must lie, empty: anywhere."""

    layout: CollectionLayout
    key: bytes
    spec: CollectionSpec
    allowance: Allowance | None = None
    home: str = ""
    owner: str = ""
    region: str = ""

    @property
    def store_key(self) -> bytes:
        """Opens the database."""
        return derive_key(self.key, "collection store")
