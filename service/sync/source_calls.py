"""The calls of tenants about sources: registration, changes, previews."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from service.errors import Reason, ServiceError
from service.sync.access import SyncAccess
from service.sync.feed_input.feed_files import PREFIX
from service.sync.feed_input.spooling import closing_spool
from service.sync.feeds.model import FeedError, FeedFormat, FeedOptions, Item, Problem
from service.sync.feeds.preview import Preview
from service.sync.model import ENDED, Run, RunState
from service.sync.runs.lease import SyncParts
from service.sync.source_model import Source, SourceConfig
from service.sync.sources.checks import check_authorization, check_config, check_options, check_place
from service.sync.sources.secrets import ChangedSource, merged
from service.tenancy.keyring import Principal

_PREVIEWS = 4  # concurrent previews
Cancel = Callable[[Principal, str], Awaitable[Run]]


class SourceCalls(SyncAccess):
    """For one event loop. All methods raise ServiceError."""

    def __init__(self, parts: SyncParts, cancel: Cancel) -> None:
        """`cancel` cancels a run of a caller, by run id."""
        super().__init__(parts)
        self._cancel = cancel
        self._previews = asyncio.Semaphore(_PREVIEWS)

    async def create(self, principal: Principal, config: SourceConfig) -> Source:
        """Registers a source of an existing collection."""
        check_config(config, new=True)
        await self._check_reachable(principal, config)
        await self._engine.collection(principal, config.collection)
        ledger = await self._ledger(principal.tenant_uid)
        source = await self._write(ledger.add_source, config)
        await self.schedule(principal.tenant_uid, source)
        return source

    async def all(self, principal: Principal) -> list[Source]:
        """The tenant's sources."""
        ledger = await self._ledger(principal.tenant_uid)
        return await self._read(ledger.sources)

    async def get(self, principal: Principal, name: str) -> Source:
        """One source, by name or id."""
        ledger = await self._ledger(principal.tenant_uid)
        return await self._read(ledger.source, name)

    async def update(self, principal: Principal, name: str, wanted: SourceConfig) -> ChangedSource:
        """Changes a source. Its name and collection cannot change.

        Secrets that the request omits are preserved if their origin does not change.
        """
        ledger = await self._ledger(principal.tenant_uid)
        source = await self._read(ledger.source, name)
        merging = merged(source.config, wanted)
        config = merging.config
        if (config.name, config.collection) != (source.config.name, source.config.collection):
            message = "the name and collection of a source cannot be changed; delete it and create another"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="source.collection")
        check_config(config, new=False)
        await self._check_reachable(principal, config)
        changed = await self._write(ledger.change_source, source.source_id, config)
        await self.schedule(principal.tenant_uid, changed)
        return ChangedSource(changed, merging.origins, merging.dropped)

    async def delete(self, principal: Principal, name: str) -> int:
        """Deletes a source. Its records stay, without a source. Returns how many there are."""
        ledger = await self._ledger(principal.tenant_uid)
        source = await self._read(ledger.source, name)
        live = [r for r in await self._read(ledger.runs, source.source_id) if r.state not in ENDED]
        if any(r.state is not RunState.AWAITING_APPROVAL for r in live):
            raise ServiceError(Reason.RUN_ACTIVE, "a run of this source has not ended; cancel it first", field="source")
        for run in live:
            await self._cancel(principal, run.run_id)
        released = 0
        try:
            collection = await self._engine.collection(principal, source.config.collection)
            released = await self._write(collection.sourced.release, source.source_id)
        except ServiceError as error:
            if error.reason is not Reason.COLLECTION_NOT_FOUND:
                raise
        await self._write(ledger.delete_source, source.source_id)
        await self._ignoring_away(self._board.set_due(f"{principal.tenant_uid}/{source.source_id}", 0))
        return released

    async def preview(self, principal: Principal, url: str, options: FeedOptions, authorization: str) -> Preview:
        """The first items of a feed, without registering anything."""
        check_place(url)
        check_authorization(url, authorization, "authorization")
        check_options(options)
        config = SourceConfig("preview", "", url, options=options, authorization=authorization)
        place = await self._read(self._parts.ledgers.place, principal.tenant_uid)
        read = self._workers.read  # not `_read`, which would make a FeedError INTERNAL
        try:
            if url.startswith(PREFIX) and (await read(place.files.path, url)).is_dir():
                found = await read(lambda: tuple(place.files.items(url))[:20])
                problems = tuple(p for p in found if isinstance(p, Problem))
                return Preview(FeedFormat.FOLDER, tuple(i for i in found if isinstance(i, Item)), problems)
            async with self._previews:
                fetched = await self._parts.fetcher.beginning(config, place)
            assert fetched.spool is not None
            async with closing_spool(fetched.spool) as spool:
                preview = self._parts.readers.preview  # the reader is made, and so closed, in the thread
                return await read(lambda: preview(spool.reader(), spool.size, options, base_url=url))
        except FeedError as error:
            raise ServiceError(Reason.FEED_UNUSABLE, f"{error.reason}: {error}", field="url") from None

    async def _check_reachable(self, principal: Principal, config: SourceConfig) -> None:
        """Raises ServiceError if the URL or the webhook's URL is one that this server never fetches."""
        place = await self._read(self._parts.ledgers.place, principal.tenant_uid)
        for field, url in (("source.url", config.url), ("source.webhook_url", config.webhook.url)):
            try:
                if url:
                    await self._parts.fetcher.check(url, place)
            except ServiceError as error:
                raise ServiceError(error.reason, f"{field}: {error.message}", field=field) from None
