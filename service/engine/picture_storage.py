"""Copies of pictures that a collection's owner wants kept: sealed, put, handed out, deleted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from index import AfterimageIndexError, Collection, KeptPicture, TenantDirectory
from service.engine.faults import translated_errors
from service.engine.workers import Workers
from service.errors import Reason, ServiceError
from service.objects.sealed import SealedObjects, new_object_id
from service.tenancy.database import TenancyError

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
_AT_ONCE = 1000
_READ_BLOCK = 100


class PictureStorage:
    """For any tenant."""

    def __init__(self, objects: SealedObjects, workers: Workers) -> None:
        self.objects, self._workers = objects, workers
        self._emptied: set[str] = set()

    async def keep(self, tenant_uid: str, collection: Collection, picture: bytes) -> KeptPicture:
        """Stores a copy, to be written with its record. Raises ServiceError (STORE_UNAVAILABLE)."""
        pictures, object_id = collection.pictures, new_object_id()
        with translated_errors():
            await self._workers.write(pictures.announce, object_id)
            await self._workers.objects(self.objects.put, tenant_uid, pictures.home, object_id, picture)
        return KeptPicture(object_id, len(picture))

    async def kept(self, collection: Collection, record_ids: Sequence[str]) -> list[KeptPicture | ServiceError]:
        """What is kept of the pictures of records, in their order; RECORD_NOT_FOUND or PICTURE_NOT_FOUND in the place
        of a record of which nothing is."""
        with translated_errors():
            found = await self._workers.read(collection.pictures.of, record_ids)
            others = [record_id for record_id in record_ids if record_id not in found]
            stored = await self._workers.read(_existing, collection, others)
        policy = collection.spec.picture_policy
        message = f"the picture of this record is not stored; the policy of the collection is {policy}"

        def one(record_id: str) -> KeptPicture | ServiceError:
            if record_id in found:
                return found[record_id]
            if record_id in stored:
                return ServiceError(Reason.PICTURE_NOT_FOUND, message, field="record_id")
            return ServiceError(Reason.RECORD_NOT_FOUND, f"no record {record_id[:80]!r}", field="record_id")

        return [one(record_id) for record_id in record_ids]

    async def copy(self, tenant_uid: str, collection: Collection, object_id: str) -> bytes:
        """A copy that belongs to a record. Raises ServiceError (PICTURE_NOT_FOUND, PICTURE_DAMAGED)."""
        with translated_errors():
            if not await self._workers.read(collection.pictures.holds, object_id):
                raise ServiceError(Reason.PICTURE_NOT_FOUND, "the record has another picture now, or was deleted")
            return await self._workers.objects(self.objects.get, tenant_uid, collection.pictures.home, object_id)

    def sweep(self, tenant_uid: str, collection: Collection) -> int:
        """Deletes the copies that are nobody's; returns how many. Raises OSError."""
        pictures, deleted = collection.pictures, 0
        while loose := pictures.loose(_AT_ONCE):
            self.objects.delete(tenant_uid, pictures.home, loose)
            pictures.forget_loose(loose)
            deleted += len(loose)
        return deleted

    def sweep_deserted(self, tenant_uid: str, directory: TenantDirectory) -> None:
        """Deletes what collections left behind that are gone. Raises OSError."""
        for home in directory.deserted():
            self.objects.clear(tenant_uid, home)
            directory.forget_deserted(home)

    def sweep_all(self, opened: Iterable[tuple[str, TenantDirectory]], *, cold_too: bool) -> None:
        """Both, for all tenants whose directories are open. `cold_too`: collections that are not in memory as well.
        Failures are logged, and what failed is tried again the next time."""
        for tenant_uid, directory in opened:
            self._tried(self.sweep_deserted, tenant_uid, directory)
            self._tried(self._sweep_warm_and_cold if cold_too else self._sweep_warm, tenant_uid, directory)

    def _sweep_warm_and_cold(self, tenant_uid: str, directory: TenantDirectory) -> None:
        self._sweep_each(tenant_uid, directory.every())

    def _sweep_warm(self, tenant_uid: str, directory: TenantDirectory) -> None:
        self._sweep_each(tenant_uid, directory.in_memory())

    def _sweep_each(self, tenant_uid: str, collections: Iterable[Collection]) -> None:
        for collection in collections:
            if collection.spec.may_have_copies:
                self._tried(self.sweep, tenant_uid, collection)

    def _tried(self, sweep: Callable[[str, T], object], tenant_uid: str, swept: T) -> None:
        """Sweeps one thing. What is wrong with one collection must not keep what others have deleted."""
        try:
            sweep(tenant_uid, swept)
        except (OSError, AfterimageIndexError, TenancyError) as error:
            _LOG.warning("could not delete orphaned pictures; retrying: %s", error)

    def sweep_deleted(self, deleted_uids: Iterable[str]) -> None:
        """Deletes all objects of tenants that are gone, once in the life of a process. Their key is gone already."""
        for uid in deleted_uids:
            if uid in self._emptied:
                continue
            try:
                self.objects.clear(uid)
                self._emptied.add(uid)
            except OSError as error:
                _LOG.warning("could not delete objects of a deleted tenant; retrying: %s", error)


def _existing(collection: Collection, record_ids: Sequence[str]) -> set[str]:
    """Those of the ids that exist. Attributes are read with them, so a few at a time."""
    blocks = (record_ids[start : start + _READ_BLOCK] for start in range(0, len(record_ids), _READ_BLOCK))
    return {record_id for block in blocks for record_id in collection.get(block)}
