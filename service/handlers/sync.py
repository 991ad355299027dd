"""SyncService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from afterimage.v1 import sync_service_pb2 as pb
from service.handlers.conversion.sync import (
    from_token,
    to_change,
    to_config,
    to_failure,
    to_options,
    to_preview,
    to_pushed,
    to_rotated,
    to_run,
    to_source,
    to_token,
)
from service.handlers.conversion.values import invalid, page_size
from service.handlers.request_limits import MAX_IDS, RUNS
from service.sync.synchronisation import Synchronisation, WantedRun
from service.tenancy.keyring import Principal


class SyncHandlers:
    """Documented in sync_service.proto."""

    def __init__(self, synchronisation: Synchronisation) -> None:
        self._sync = synchronisation

    async def CreateSource(self, request: pb.CreateSourceRequest, caller: Principal) -> pb.CreateSourceResponse:
        """Creates a source."""
        made = await self._sync.sources.create(caller, to_config(request.source))
        return pb.CreateSourceResponse(source=to_source(made))

    async def GetSource(self, request: pb.GetSourceRequest, caller: Principal) -> pb.GetSourceResponse:
        """Returns a source."""
        return pb.GetSourceResponse(source=to_source(await self._sync.sources.get(caller, request.source)))

    async def ListSources(self, request: pb.ListSourcesRequest, caller: Principal) -> pb.ListSourcesResponse:
        """Returns all sources."""
        return pb.ListSourcesResponse(sources=[to_source(s) for s in await self._sync.sources.all(caller)])

    async def UpdateSource(self, request: pb.UpdateSourceRequest, caller: Principal) -> pb.UpdateSourceResponse:
        """Replaces the configuration of a source. Omitted secrets are kept if the origin of the URL is the same."""
        name = request.source.name or request.source.source_id
        changed = await self._sync.sources.update(caller, name, to_config(request.source))
        return pb.UpdateSourceResponse(
            source=to_source(changed.source), changed_origins=changed.origins, dropped_secrets=changed.dropped
        )

    async def DeleteSource(self, request: pb.DeleteSourceRequest, caller: Principal) -> pb.DeleteSourceResponse:
        """Deletes a source."""
        return pb.DeleteSourceResponse(record_count=await self._sync.sources.delete(caller, request.source))

    async def PreviewFeed(self, request: pb.PreviewFeedRequest, caller: Principal) -> pb.PreviewFeedResponse:
        """Returns the beginning of a feed."""
        options = to_options(request.options)
        seen = await self._sync.sources.preview(caller, request.url, options, request.authorization)
        return to_preview(seen)

    async def StartRun(self, request: pb.StartRunRequest, caller: Principal) -> pb.StartRunResponse:
        """Queues a run."""
        wanted = WantedRun(request.source, request.dry_run, request.full or request.dry_run, into=request.into)
        return pb.StartRunResponse(run=to_run(await self._sync.start(caller, wanted)))

    async def GetRun(self, request: pb.GetRunRequest, caller: Principal) -> pb.GetRunResponse:
        """Returns a run."""
        view = await self._sync.run(caller, request.run_id)
        return pb.GetRunResponse(run=to_run(view.run, view.progress))

    async def ListRuns(self, request: pb.ListRunsRequest, caller: Principal) -> pb.ListRunsResponse:
        """Returns the newest runs."""
        size = page_size(request.page_size, RUNS)
        return pb.ListRunsResponse(runs=[to_run(r) for r in await self._sync.runs(caller, request.source, size)])

    async def WatchRun(self, request: pb.WatchRunRequest, caller: Principal) -> AsyncIterator[pb.WatchRunResponse]:
        """Yields a run whenever it changes."""
        async for view in self._sync.watch(caller, request.run_id):
            yield pb.WatchRunResponse(run=to_run(view.run, view.progress))

    async def ApproveRun(self, request: pb.ApproveRunRequest, caller: Principal) -> pb.ApproveRunResponse:
        """Approves the plan of a run."""
        run = await self._sync.approve(caller, request.run_id, request.plan_digest)
        return pb.ApproveRunResponse(run=to_run(run))

    async def CancelRun(self, request: pb.CancelRunRequest, caller: Principal) -> pb.CancelRunResponse:
        """Cancels a run."""
        return pb.CancelRunResponse(run=to_run(await self._sync.cancel(caller, request.run_id)))

    async def UndoDeletions(self, request: pb.UndoDeletionsRequest, caller: Principal) -> pb.UndoDeletionsResponse:
        """Restores the records that a run deleted."""
        return pb.UndoDeletionsResponse(record_count=await self._sync.undo(caller, request.run_id))

    async def ListFailures(self, request: pb.ListFailuresRequest, caller: Principal) -> pb.ListFailuresResponse:
        """Returns a page of failures. The token is the last record id of the previous page."""
        size = page_size(request.page_size)
        after = from_token(request.page_token)
        found = await self._sync.failures(caller, request.source, after, size + 1)
        token = to_token(found[size - 1].record_id) if len(found) > size else ""
        return pb.ListFailuresResponse(failures=[to_failure(f) for f in found[:size]], next_page_token=token)

    async def RetryFailures(self, request: pb.RetryFailuresRequest, caller: Principal) -> pb.RetryFailuresResponse:
        """Retries failed records."""
        if len(request.record_ids) > MAX_IDS:
            raise invalid("record_ids", f"set at most {MAX_IDS:,} ids, or none for all")
        count, run = await self._sync.retry_failures(caller, request.source, list(request.record_ids))
        return pb.RetryFailuresResponse(failure_count=count, run=to_run(run))

    async def PushItem(self, request: pb.PushItemRequest, caller: Principal) -> pb.PushItemResponse:
        """Stores a change of one item."""
        return to_pushed(await self._sync.pushes.push(caller, request.source, to_change(request)))

    async def RotatePushSecret(
        self, request: pb.RotatePushSecretRequest, caller: Principal
    ) -> pb.RotatePushSecretResponse:
        """Makes a secret that signs pushes."""
        return to_rotated(await self._sync.signed_pushes.rotate(caller, request.source))
