"""Training sets: labelled pictures for a tenant's own model.

Pictures are decoded once to check them, and stored encrypted in object storage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from index import Allowance, Usage, check_id
from service.engine.engine import Engine
from service.engine.faults import as_service_error, translated_errors
from service.engine.pictures import PictureSource
from service.errors import Reason, ServiceError
from service.objects.sealed import new_object_id
from service.runtime.call_facts import about
from service.runtime.concurrency import gather_bounded
from service.tenancy.keyring import Principal
from service.training.model import Example, TrainingSet
from service.training.store import TrainingStore
from service.training.stores import TrainingStores

T = TypeVar("T")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_AT_ONCE = 16


@dataclass(frozen=True)
class NewExample:
    """A labelled picture to add."""

    example_id: str
    label: str
    picture: PictureSource


@dataclass(frozen=True)
class ExampleResult:
    """The result for one example: added, replaced or unchanged. `error`: set if it failed."""

    example_id: str
    outcome: str
    error: ServiceError | None = None


class TrainingSets:
    """The training sets of all tenants. All methods raise ServiceError."""

    def __init__(self, stores: TrainingStores, engine: Engine) -> None:
        self._stores, self._engine = stores, engine

    async def create(self, caller: Principal, name: str, description: str) -> TrainingSet:
        """Creates an empty set."""
        if not _NAME.fullmatch(name):
            message = f"{name[:80]!r} does not match [a-z0-9][a-z0-9_-]{{0,62}}"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="name")
        made = await self.ask(caller, lambda store: store.create_set(name, description[:1024]))
        if made is None:
            raise ServiceError(Reason.TRAINING_SET_EXISTS, f"training set {name!r} exists")
        return made

    async def all(self, caller: Principal) -> list[TrainingSet]:
        """All sets, ordered by name."""
        return await self.ask(caller, lambda store: store.sets())

    async def get(self, caller: Principal, name: str) -> tuple[TrainingSet, dict[str, int]]:
        """One set, and the number of examples of each label."""
        found = await self.ask(caller, lambda store: store.set_named(name))
        if found is None:
            raise _no_set(name)
        return found, await self.ask(caller, lambda store: store.labels(found.uid))

    async def uid(self, caller: Principal, name: str) -> str:
        """The uid of a set."""
        found = await self.ask(caller, lambda store: store.uid_of(name))
        if found is None:
            raise _no_set(name)
        return found

    async def take_away(self, caller: Principal, set_uid: str) -> int:
        """Deletes a set. Returns its number of examples. Their pictures are then orphaned; `clear` deletes them."""
        count = await self.ask(caller, lambda store: store.delete_set(set_uid))
        await self._measure_again(caller.tenant_uid)
        return count

    async def clear(self, tenant_uid: str, set_uid: str) -> None:
        """Deletes the pictures of a deleted set. Returns when none is left."""
        await self.sweep(tenant_uid)
        with translated_errors():
            await self._engine.workers.upkeep(self._engine.objects.clear, tenant_uid, set_uid)

    async def exists(self, tenant_uid: str, name: str, set_uid: str) -> bool:
        """Whether there is a set with this name and uid."""
        with translated_errors():
            return await self._engine.workers.read(lambda: self._stores.of(tenant_uid).uid_of(name) == set_uid)

    async def add(self, caller: Principal, name: str, examples: Sequence[NewExample]) -> list[ExampleResult]:
        """Adds examples, or replaces those with the same ids. Returns one result each, in order."""
        set_uid = await self.uid(caller, name)
        return await gather_bounded((self._one(caller, set_uid, e) for e in examples), _AT_ONCE)

    async def examples(self, caller: Principal, name: str, after: str, limit: int) -> list[Example]:
        """A page of examples, ordered by id."""
        set_uid = await self.uid(caller, name)
        return await self.ask(caller, lambda store: store.examples(set_uid, after, limit))

    async def example(self, caller: Principal, name: str, example_id: str) -> tuple[str, Example]:
        """One example, and the uid of its set."""
        set_uid = await self.uid(caller, name)
        example = await self.ask(caller, lambda store: store.example(set_uid, example_id))
        if example is None:
            raise ServiceError(Reason.PICTURE_NOT_FOUND, f"no example {example_id[:80]!r}", field="example_id")
        return set_uid, example

    async def remove(self, caller: Principal, name: str, example_ids: Sequence[str]) -> int:
        """Deletes examples and their pictures. Returns how many there were."""
        set_uid = await self.uid(caller, name)
        count = await self.ask(caller, lambda store: store.delete_examples(set_uid, example_ids))
        await self._measure_again(caller.tenant_uid)
        await self.sweep(caller.tenant_uid)
        return count

    async def picture(self, tenant_uid: str, set_uid: str, object_id: str) -> bytes:
        """The picture of an example.

        Raises ServiceError (PICTURE_NOT_FOUND) if the example has changed or was deleted.
        """
        workers, objects = self._engine.workers, self._engine.objects
        with translated_errors():
            store = await workers.read(self._stores.of, tenant_uid)
            if not await workers.read(store.holds, set_uid, object_id):
                raise ServiceError(Reason.PICTURE_NOT_FOUND, "the example has another picture now, or was deleted")
            return await workers.objects(objects.get, tenant_uid, set_uid, object_id)

    async def allowance(self, tenant_uid: str) -> Allowance:
        """The tenant's storage allowance, with its training sets counted."""
        with translated_errors():
            return (await self._engine.workers.read(self._engine.spaces.directory, tenant_uid)).allowance

    async def _measure_again(self, tenant_uid: str) -> None:
        with translated_errors():
            await self._engine.workers.read(lambda: self._engine.spaces.directory(tenant_uid).allowance.forget())

    async def sweep(self, tenant_uid: str) -> None:
        """Deletes the tenant's orphaned objects."""
        with translated_errors():
            await self._engine.workers.upkeep(self.sweep_now, tenant_uid)

    def sweep_now(self, tenant_uid: str) -> None:
        """Deletes the tenant's orphaned objects. Call it in a thread. Raises OSError."""
        store = self._stores.of(tenant_uid)
        loose = store.loose()
        for home in dict.fromkeys(home for home, _ in loose):
            self._engine.objects.delete(tenant_uid, home, [i for h, i in loose if h == home])
        if loose:
            store.forget_loose(loose)

    async def _one(self, caller: Principal, set_uid: str, new: NewExample) -> ExampleResult:
        with about(record_id=new.example_id):
            try:
                return ExampleResult(new.example_id, await self._add(caller, set_uid, new))
            except Exception as error:
                return ExampleResult(new.example_id, "failed", as_service_error(error))

    async def _add(self, caller: Principal, set_uid: str, new: NewExample) -> str:
        with translated_errors():
            check_id("example_id", new.example_id)
            check_id("label", new.label)
        uid, engine = caller.tenant_uid, self._engine
        picture = (await engine.sources.resolved(new.picture, uid)).image
        if picture is None:
            raise ServiceError(Reason.SOURCE_MISSING, "set the picture as `image` or `url`", field="image")
        digest = await self.ask(caller, lambda store: store.digest(picture))
        same = await self.ask(caller, lambda store: store.example_with(set_uid, digest))
        if same is not None and same.example_id != new.example_id:
            message = f"example {same.example_id!r} has the same picture; duplicates are not allowed in a training set"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="image")
        if same is not None and same.label == new.label:
            return "unchanged"
        before = await self.ask(caller, lambda store: store.example(set_uid, new.example_id))
        await engine.pictures.check(picture, uid)
        object_id, allowance = new_object_id(), await self.allowance(uid)
        larger = Usage(0, len(picture) - (before.size if before is not None else 0))
        with translated_errors():
            await engine.workers.read(allowance.check, larger)
        await self.ask(caller, lambda store: store.announce(set_uid, object_id))
        with translated_errors():
            await engine.workers.objects(engine.objects.put, uid, set_uid, object_id, picture)
        example = Example(new.example_id, new.label, object_id, len(picture), digest)
        if not await self.ask(caller, lambda store: store.put_example(set_uid, example)):
            raise ServiceError(Reason.TRAINING_SET_NOT_FOUND, "the training set was deleted in the meantime")
        await engine.workers.read(allowance.add, larger)
        return "added" if before is None else "replaced"

    async def ask(self, caller: Principal, work: Callable[[TrainingStore], T]) -> T:
        """Calls `work` with the caller's training database, and returns its result."""
        with translated_errors():
            return await self._engine.workers.write(lambda: work(self._stores.of(caller.tenant_uid)))


def _no_set(name: str) -> ServiceError:
    return ServiceError(Reason.TRAINING_SET_NOT_FOUND, f"no training set {name[:80]!r}")
