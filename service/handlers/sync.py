"""SyncService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from afterimage.v1 import sync_service_pb2 as pb
from afterimage.v1 import sync_service_pb2_grpc as pb_grpc
from service.calls.interceptor import principal
from service.handlers.conversion.sync import (
    from_token,
    to_config,
    to_failure,
    to_options,
    to_preview,
    to_run,
    to_source,
    to_token,
)
from service.handlers.conversion.values import invalid, within
from service.sync.synchronisation import Synchronisation, WantedRun

Context = grpc.aio.ServicerContext[Any, Any]


class SyncServicer(pb_grpc.SyncServiceServicer):
    """Documented in sync_service.proto."""

    def __init__(self, synchronisation: Synchronisation) -> None:
        self._sync = synchronisation

    async def CreateSource(self, request: pb.CreateSourceRequest, context: Context) -> pb.CreateSourceResponse:
        """Registers a feed."""
        made = await self._sync.create_source(principal(), to_config(request.source))
        return pb.CreateSourceResponse(source=to_source(made))

    async def GetSource(self, request: pb.GetSourceRequest, context: Context) -> pb.GetSourceResponse:
        """One source."""
        return pb.GetSourceResponse(source=to_source(await self._sync.source(principal(), request.source)))

    async def ListSources(self, request: pb.ListSourcesRequest, context: Context) -> pb.ListSourcesResponse:
        """All sources."""
        return pb.ListSourcesResponse(sources=[to_source(s) for s in await self._sync.sources(principal())])

    async def UpdateSource(self, request: pb.UpdateSourceRequest, context: Context) -> pb.UpdateSourceResponse:
        """Replaces what was said of a source; secrets that are not given stay, where their origin does."""
        name = request.source.name or request.source.source_id
        changed = await self._sync.update_source(principal(), name, to_config(request.source))
        return pb.UpdateSourceResponse(
            source=to_source(changed.source), changed_origins=changed.origins, dropped_secrets=changed.dropped
        )

    async def DeleteSource(self, request: pb.DeleteSourceRequest, context: Context) -> pb.DeleteSourceResponse:
        """Forgets a source."""
        return pb.DeleteSourceResponse(record_count=await self._sync.delete_source(principal(), request.source))

    async def PreviewFeed(self, request: pb.PreviewFeedRequest, context: Context) -> pb.PreviewFeedResponse:
        """The beginning of a feed."""
        options = to_options(request.options)
        seen = await self._sync.preview(principal(), request.url, options, request.authorization)
        return to_preview(seen)

    async def StartRun(self, request: pb.StartRunRequest, context: Context) -> pb.StartRunResponse:
        """Queues a run."""
        wanted = WantedRun(request.source, request.dry_run, request.full or request.dry_run, into=request.into)
        return pb.StartRunResponse(run=to_run(await self._sync.start(principal(), wanted)))

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        """One run."""
        view = await self._sync.run(principal(), request.run_id)
        return pb.GetRunResponse(run=to_run(view.run, view.progress))

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        """The newest runs."""
        size = within("page_size", request.page_size or 50, 1, 200)
        return pb.ListRunsResponse(runs=[to_run(r) for r in await self._sync.runs(principal(), request.source, size)])

    async def WatchRun(self, request: pb.WatchRunRequest, context: Context) -> AsyncIterator[pb.WatchRunResponse]:
        """A run whenever it changes."""
        async for view in self._sync.watch(principal(), request.run_id):
            yield pb.WatchRunResponse(run=to_run(view.run, view.progress))

    async def ApproveRun(self, request: pb.ApproveRunRequest, context: Context) -> pb.ApproveRunResponse:
        """Lets a plan pass."""
        run = await self._sync.approve(principal(), request.run_id, request.plan_digest)
        return pb.ApproveRunResponse(run=to_run(run))

    async def CancelRun(self, request: pb.CancelRunRequest, context: Context) -> pb.CancelRunResponse:
        """Ends a run."""
        return pb.CancelRunResponse(run=to_run(await self._sync.cancel(principal(), request.run_id)))

    async def UndoDeletions(self, request: pb.UndoDeletionsRequest, context: Context) -> pb.UndoDeletionsResponse:
        """Brings back what a run deleted."""
        return pb.UndoDeletionsResponse(record_count=await self._sync.undo(principal(), request.run_id))

    async def ListFailures(self, request: pb.ListFailuresRequest, context: Context) -> pb.ListFailuresResponse:
        """A page of failures; the token is the last record id of the page before."""
        size = within("page_size", request.page_size or 100, 1, 1000)
        after = from_token(request.page_token)
        found = await self._sync.failures(principal(), request.source, after, size + 1)
        token = to_token(found[size - 1].record_id) if len(found) > size else ""
        return pb.ListFailuresResponse(failures=[to_failure(f) for f in found[:size]], next_page_token=token)

    async def RetryFailures(self, request: pb.RetryFailuresRequest, context: Context) -> pb.RetryFailuresResponse:
        """Tries failures again."""
        if len(request.record_ids) > 1000:
            raise invalid("record_ids", "set at most 1,000 ids, or none for all")
        count, run = await self._sync.retry_failures(principal(), request.source, list(request.record_ids))
        return pb.RetryFailuresResponse(failure_count=count, run=to_run(run))
