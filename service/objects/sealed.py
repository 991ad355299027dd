"""Objects under a tenant's key: AES-256-GCM in frames (index/storage/crypto.py), bound to the tenant and the name.

No object can stand for another. Whoever has the storage alone, or another tenant's key, learns nothing but sizes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import partial

from index import SnapshotDamaged
from index.storage import decrypt_file, derive_key, encrypt_file
from service.errors import Reason, ServiceError
from service.objects.store import ObjectStore

DataKeyOf = Callable[[str], bytes]


def new_object_id() -> str:
    """A random name: 128 bits in hexadecimal."""
    return secrets.token_hex(16)


class SealedObjects:
    """For any tenant. Any number of threads may call any method at once. All raise OSError where the storage fails,
    and TenancyError where the tenant is gone."""

    def __init__(self, store: ObjectStore, data_key_of: DataKeyOf) -> None:
        self._store, self._data_key_of = store, data_key_of

    def put(self, tenant_uid: str, home: str, object_id: str, content: bytes) -> None:
        """Seals and stores an object; it is durable when this returns."""
        name = _name(tenant_uid, home, object_id)
        self._store.put(name, encrypt_file(self._key(tenant_uid), _purpose(name), content))

    def get(self, tenant_uid: str, home: str, object_id: str) -> bytes:
        """An object as it was put. Raises ServiceError (PICTURE_NOT_FOUND), or ServiceError (PICTURE_DAMAGED) where a
        byte of it differs."""
        try:
            return self._opened(tenant_uid, _name(tenant_uid, home, object_id))
        except FileNotFoundError:
            raise ServiceError(Reason.PICTURE_NOT_FOUND, "the copy is missing in object storage") from None

    def all_opened(self, tenant_uid: str) -> list[tuple[str, Callable[[], bytes]]]:
        """Names of all of a tenant's objects, and what reads each."""
        names = self._store.names(tenant_uid)
        return [(name, partial(self._opened, tenant_uid, name)) for name in names]

    def delete(self, tenant_uid: str, home: str, object_ids: Sequence[str]) -> None:
        """Deletes objects; those that are gone already are passed over."""
        self._store.delete([_name(tenant_uid, home, i) for i in object_ids])

    def clear(self, tenant_uid: str, home: str = "") -> int:
        """Deletes all objects of a home, or of the tenant; returns how many there were. Needs no key."""
        return self._store.clear(_prefix(tenant_uid, home))

    def _opened(self, tenant_uid: str, name: str) -> bytes:
        try:
            return decrypt_file(self._key(tenant_uid), _purpose(name), self._store.get(name))
        except SnapshotDamaged:
            raise ServiceError(Reason.PICTURE_DAMAGED, "the copy in object storage was changed") from None

    def _key(self, tenant_uid: str) -> bytes:
        return derive_key(self._data_key_of(tenant_uid), "objects")


def _prefix(tenant_uid: str, home: str) -> str:
    return f"{tenant_uid}/{home}" if home else tenant_uid


def _name(tenant_uid: str, home: str, object_id: str) -> str:
    return f"{tenant_uid}/{home}/{object_id}"


def _purpose(name: str) -> str:
    return f"object {name}"
