"""Objects encrypted under a tenant's key: AES-256-GCM in frames (index/storage/crypto.py), bound to tenant and name.

No object can be substituted for another. Access to the storage alone reveals nothing but sizes.
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
    """The objects of all tenants. All methods are thread-safe.

    They raise OSError if the storage fails, and TenancyError if the tenant does not exist.
    """

    def __init__(self, store: ObjectStore, data_key_of: DataKeyOf) -> None:
        self._store, self._data_key_of = store, data_key_of

    def put(self, tenant_uid: str, home: str, object_id: str, content: bytes) -> None:
        """Encrypts and stores an object, durably."""
        name = _name(tenant_uid, home, object_id)
        self._store.put(name, encrypt_file(self._key(tenant_uid), _purpose(name), content))

    def get(self, tenant_uid: str, home: str, object_id: str) -> bytes:
        """The decrypted object. Raises ServiceError (PICTURE_NOT_FOUND), or PICTURE_DAMAGED if it was modified."""
        try:
            return self._opened(tenant_uid, _name(tenant_uid, home, object_id))
        except FileNotFoundError:
            raise ServiceError(Reason.PICTURE_NOT_FOUND, "the copy is missing in object storage") from None

    def all_opened(self, tenant_uid: str) -> list[tuple[str, Callable[[], bytes]]]:
        """The names of all objects of a tenant, each with a function that reads it."""
        names = self._store.names(tenant_uid)
        return [(name, partial(self._opened, tenant_uid, name)) for name in names]

    def delete(self, tenant_uid: str, home: str, object_ids: Sequence[str]) -> None:
        """Deletes objects. Missing ones are ignored."""
        self._store.delete([_name(tenant_uid, home, i) for i in object_ids])

    def clear(self, tenant_uid: str, home: str = "") -> int:
        """Deletes all objects under `home`, or of the tenant. Returns how many. Needs no key."""
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
