"""RecordService."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Any

from afterimage.v1 import record_service_pb2 as pb
from index import Collection, FilterHints, Outcome, RecordPage, WriteResult
from service.audit.chain import Details
from service.audit.tally import current_tallies
from service.calls.limits.bulk_share import Work
from service.calls.limits.large_responses import SMALL_BYTES, LargeResponses, add_each
from service.engine.detection.splitting import InsertOptions, Split, Splitting
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.engine.ingest import Ingest, RecordInput
from service.errors import ServiceError
from service.handlers.conversion.objects import from_split, to_object_limits
from service.handlers.conversion.ordering import (
    from_order_token,
    from_token,
    to_order,
    to_order_token,
    to_token,
)
from service.handlers.conversion.shown import shown_record
from service.handlers.conversion.values import (
    check_count,
    check_most,
    from_inserted,
    from_record,
    from_results,
    invalid,
    most_vectors,
    page_size,
    to_patch,
    to_record_input,
    within,
)
from service.handlers.request_limits import MAX_BATCH_RECORDS, MAX_EXCLUDED, MAX_IDS, MAX_SAMPLE
from service.metrics import Metrics
from service.runtime.concurrency import map_yielding
from service.tenancy.apikeys import Scope
from service.tenancy.keyring import Principal

_DELETE_SAMPLE = 20
_BATCHES_AHEAD = 2
_SEED_BITS = 32
_WRITES = "records.write"
_SHOWN_AT_ONCE = 100


class RecordHandlers:
    """Documented in record_service.proto."""

    def __init__(self, engine: Engine, metrics: Metrics, responses: LargeResponses) -> None:
        self._engine, self._metrics, self._responses = engine, metrics, responses
        self._ingest, self._splitting = Ingest(engine), Splitting(engine)

    async def InsertRecords(self, request: pb.InsertRecordsRequest, caller: Principal) -> pb.InsertRecordsResponse:
        """Inserts or replaces a batch of records."""
        options = _to_options(request)
        results = await self._insert(caller, request.collection, request.records, options)
        return pb.InsertRecordsResponse(results=results)

    async def ImportRecords(
        self, requests: AsyncIterator[pb.ImportRecordsRequest], caller: Principal
    ) -> AsyncIterator[pb.ImportRecordsResponse]:
        """Inserts batches, a few at a time. Yields the results in order."""
        running: asyncio.Queue[asyncio.Task[list[pb.RecordResult]] | None] = asyncio.Queue(_BATCHES_AHEAD)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._start_batches(caller, requests, running, group))
            while (task := await running.get()) is not None:
                yield pb.ImportRecordsResponse(results=await task)

    async def _start_batches(
        self,
        caller: Principal,
        requests: AsyncIterator[pb.ImportRecordsRequest],
        running: asyncio.Queue[asyncio.Task[list[pb.RecordResult]] | None],
        group: asyncio.TaskGroup,
    ) -> None:
        collection, options = "", InsertOptions()
        while (request := await anext(requests, None)) is not None:
            if not collection:
                collection, options = request.collection, _to_options(request)
            if request.collection not in ("", collection):
                raise invalid("collection", "all messages of a stream must have the same collection")
            task = group.create_task(self._insert(caller, collection, request.records, options))
            del request  # a stream that idles keeps no picture
            await running.put(task)
        await running.put(None)

    async def GetRecords(self, request: pb.GetRecordsRequest, caller: Principal) -> pb.GetRecordsResponse:
        """Returns records by id."""
        check_count("record_ids", len(request.record_ids), MAX_IDS)
        _require_export(caller, request.include_vectors)
        collection = await self._engine.collection(caller, request.collection)
        if request.include_vectors:
            check_count("record_ids", len(request.record_ids), most_vectors(collection.spec.dimension))
        ids, vectors = list(request.record_ids), request.include_vectors
        if not vectors:
            return await self._shown(collection, ids, caller)
        vector_bytes = 4 * collection.spec.dimension
        async with self._responses.making(caller.tenant_uid, len(ids), vector_bytes) as work:
            read = work.timed(collection.get)
            found = await self._read(read, ids, vectors=True, max_bytes=self._responses.most_bytes)
            response = pb.GetRecordsResponse(missing_record_ids=[i for i in ids if i not in found])
            records = (found[i] for i in ids if i in found)
            await add_each(records, lambda r: from_record(r, response.records.add()), work)
        return response

    async def _shown(self, collection: Collection, ids: list[str], caller: Principal) -> pb.GetRecordsResponse:
        """Records without their vectors: from what the collection keeps of them, if few are wanted, or by a thread."""
        kept = collection.shown_at_once(ids, shown_record) if len(ids) <= _SHOWN_AT_ONCE else None
        if kept is not None and sum(map(len, kept)) <= SMALL_BYTES:
            return pb.GetRecordsResponse.FromString(b"".join(kept))
        async with self._responses.making(caller.tenant_uid, len(ids), 0) as work:
            show = work.timed(collection.show)
            found = await self._read(show, ids, shown_record, max_bytes=self._responses.most_bytes)
            response = pb.GetRecordsResponse(missing_record_ids=[i for i in ids if i not in found])
            await add_each((found[i] for i in ids if i in found), response.MergeFromString, work)
        return response

    async def ListRecords(self, request: pb.ListRecordsRequest, caller: Principal) -> pb.ListRecordsResponse:
        """Returns a page of records."""
        size = page_size(request.page_size)
        _require_export(caller, request.include_vectors)
        collection = await self._engine.collection(caller, request.collection)
        vectors, most = request.include_vectors, self._responses.page_bytes
        vector_bytes = 4 * collection.spec.dimension * vectors
        async with self._responses.making(caller.tenant_uid, size, vector_bytes, most) as work:
            page, token = await self._page(request, collection, size, work)
            response = pb.ListRecordsResponse(next_page_token=token)
            await add_each(page.records, lambda r: from_record(r, response.records.add()), work)
        return response

    async def _page(
        self, request: pb.ListRecordsRequest, collection: Collection, size: int, work: Work
    ) -> tuple[RecordPage, str]:
        """The page of a request, and the token of the next one."""
        how = {"vectors": request.include_vectors, "max_bytes": self._responses.page_bytes}
        order, subject = to_order(request.order_by), f"{request.collection}\n{request.filter}"
        if order is not None:
            subject = f"{subject}\n{order}"
            after = from_order_token(request.page_token, subject)
            read = work.timed(collection.page_in_order)
            page, last = await self._read(read, order, after, size, request.filter, **how)
            return page, to_order_token(last, subject) if last is not None else ""
        start = from_token(request.page_token, subject)
        page = await self._read(work.timed(collection.page), start, size, request.filter, **how)
        return page, to_token(page.records[-1].row_id, subject) if page.more else ""

    async def SampleRecords(self, request: pb.SampleRecordsRequest, caller: Principal) -> pb.SampleRecordsResponse:
        """Returns records drawn uniformly."""
        size, excluded = within("count", request.count, 1, MAX_SAMPLE), list(dict.fromkeys(request.exclude_record_ids))
        check_most("exclude_record_ids", len(excluded), MAX_EXCLUDED)
        _require_export(caller, request.include_vectors)
        collection = await self._engine.collection(caller, request.collection)
        vectors = request.include_vectors
        if vectors:
            within("count", size, 1, most_vectors(collection.spec.dimension))
        seed = request.seed if request.HasField("seed") else secrets.randbits(_SEED_BITS)
        most = self._responses.most_bytes
        async with self._responses.making(caller.tenant_uid, size, 4 * collection.spec.dimension * vectors) as work:
            drawn = await self._read(
                work.timed(collection.sample), size, request.filter, seed=seed, excluded_ids=excluded, vectors=vectors,
                max_bytes=most,
            )  # fmt: skip
            hints = await self._read(collection.filter_hints, request.filter)
            response = pb.SampleRecordsResponse(
                allowed_count=await self._read(collection.count, request.filter), seed=seed,
                unknown_attributes=hints.unknown_attributes, filter_hints=hints.sentences,
            )  # fmt: skip
            await add_each(drawn, lambda r: from_record(r, response.records.add()), work)
        return response

    async def UpdateRecords(self, request: pb.UpdateRecordsRequest, caller: Principal) -> pb.UpdateRecordsResponse:
        """Changes product ids and attributes."""
        check_count("patches", len(request.patches), MAX_IDS)
        collection = await self._engine.collection(caller, request.collection)
        patches = await map_yielding(to_patch, request.patches)
        subject = await self._about_to_write(caller, request.collection)
        results = await self._write(collection.patch, patches)
        self._count(caller, results, subject)
        return pb.UpdateRecordsResponse(results=from_results(results, [p.record_id for p in request.patches]))

    async def DeleteRecords(self, request: pb.DeleteRecordsRequest, caller: Principal) -> pb.DeleteRecordsResponse:
        """Deletes records by ids or by filter. Without `force` it only reports what it would delete."""
        if bool(request.record_ids) == bool(request.filter.strip()):
            raise invalid("record_ids", "set either record_ids or a filter")
        collection = await self._engine.collection(caller, request.collection)
        if request.record_ids:
            ids = list(dict.fromkeys(request.record_ids))
            check_count("record_ids", len(ids), MAX_IDS)
            found = await self._read(collection.get, ids)
            if request.force:  # what other calls and servers do meanwhile comes before it or after it
                deleted, missing = await self._write(collection.delete_known, ids)
            else:
                deleted, missing = len(found), await self._read(collection.unknown_ids, ids)
            sample, hints = [i for i in ids if i in found][:_DELETE_SAMPLE], FilterHints()
        else:
            first = await self._read(collection.list, 0, _DELETE_SAMPLE, request.filter)
            missing, hints = [], await self._read(collection.filter_hints, request.filter)
            sample, count = [r.record_id for r in first], await self._read(collection.count, request.filter)
            deleted = await self._write(collection.delete_matching, request.filter) if request.force else count
        if request.force:
            self._metrics.records.labels("deleted").inc(deleted)
        return pb.DeleteRecordsResponse(
            record_count=deleted,
            deleted=request.force,
            sample_record_ids=sample,
            missing_record_ids=missing,
            unknown_attributes=hints.unknown_attributes,
            filter_hints=hints.sentences,
        )

    async def CountRecords(self, request: pb.CountRecordsRequest, caller: Principal) -> pb.CountRecordsResponse:
        """Counts the matching records."""
        collection = await self._engine.collection(caller, request.collection)
        found = collection.matching_at_once(request.filter) or await self._read(collection.matching, request.filter)
        return pb.CountRecordsResponse(
            record_count=found.records,
            unknown_attributes=found.hints.unknown_attributes,
            filter_hints=found.hints.sentences,
        )

    async def _insert(
        self, caller: Principal, collection: str, records: Sequence[pb.RecordInput], options: InsertOptions
    ) -> list[pb.RecordResult]:
        check_count("records", len(records), MAX_BATCH_RECORDS)
        inputs = await map_yielding(to_record_input, records)
        await self._engine.collection(caller, collection)
        subject = await self._about_to_write(caller, collection)
        if options.split is not None:
            parts = await self._insert_parts(caller, collection, inputs, options, subject)
            return [from_split(part, r.record_id) for part, r in zip(parts, records, strict=True)]
        inserted = await self._ingest.insert(caller, collection, inputs, insert_only=options.insert_only)
        self._count(caller, [i.result for i in inserted], subject)
        return from_inserted(inserted, [r.record_id for r in records])

    async def _insert_parts(
        self, caller: Principal, name: str, inputs: Sequence[RecordInput | ServiceError], options: InsertOptions,
        subject: Details,
    ) -> list[Split]:  # fmt: skip
        collection = await self._engine.collection(caller, name)
        splits = await self._splitting.insert(caller, collection, inputs, options)
        self._count(caller, [r for s in splits for r in ([p.result for p in s.parts] or [s.result])], subject)
        if removed := sum(len(s.removed) for s in splits):
            self._metrics.records.labels("deleted").inc(removed)
            current_tallies().add(caller, _WRITES, subject, deleted=removed)
        return splits

    async def _about_to_write(self, caller: Principal, collection: str) -> Details:
        """Records that writes to a collection begin. Returns the details for the audit log.

        Raises ServiceError (STORE_UNAVAILABLE) if the audit log cannot be written.
        """
        subject: Details = {"collection": collection}
        with translated_errors():
            await current_tallies().begin(caller, _WRITES, subject)
        return subject

    def _count(self, caller: Principal, results: Sequence[WriteResult], subject: Details) -> None:
        written = {Outcome.CREATED: 0, Outcome.UPDATED: 0}
        for result in results:
            self._metrics.records.labels(result.outcome.value).inc()
            if result.outcome in written:
                written[result.outcome] += 1
        counts = {outcome.value: count for outcome, count in written.items()}
        current_tallies().add(caller, _WRITES, subject, **counts)

    async def _read(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        with translated_errors():
            return await self._engine.workers.read(function, *args, **kwargs)

    async def _write(self, function: Any, *args: Any) -> Any:
        with translated_errors():
            return await self._engine.workers.write(function, *args)


def _to_options(request: pb.InsertRecordsRequest | pb.ImportRecordsRequest) -> InsertOptions:
    """Raises ServiceError (ARGUMENT_INVALID)."""
    if not request.split_objects and request.max_objects:
        raise invalid("max_objects", "max_objects can only be set with split_objects")
    split = to_object_limits(request.max_objects) if request.split_objects else None
    return InsertOptions(request.insert_only, split)


def _require_export(caller: Principal, vectors: bool) -> None:
    if vectors:
        caller.require(Scope.EXPORT)
