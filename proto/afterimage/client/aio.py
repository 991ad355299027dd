"""The client for asyncio programs. Its methods are those of `Client`, as coroutines."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import TypeVar

import grpc

from afterimage.client import (
    admin,
    calls,
    catalogues,
    judgements,
    kept,
    oversight,
    saved_searches,
    searches,
    training,
    tuning,
)
from afterimage.client.arguments import made
from afterimage.client.batches import Outbox, Remembering
from afterimage.client.calls import Call
from afterimage.client.catalogue_values import Run
from afterimage.client.channel import Endpoint, async_channel, async_close, make_stubs
from afterimage.client.convert import duplicates_request, to_duplicate_group, to_result
from afterimage.client.errors import AfterimageError, from_rpc_error
from afterimage.client.idempotency import HEADER, new_key
from afterimage.client.methods import async_method, async_sleep
from afterimage.client.retry import RetryPolicy
from afterimage.client.training import ExampleResult, NewExample, Training
from afterimage.client.values import Collection, DuplicateGroup, NewRecord, Progress, Record, RecordResult, SavedSearch
from afterimage.v1.record_service_pb2 import ImportRecordsRequest

T = TypeVar("T")


class AsyncClient:
    """A connection to one server, for one event loop. Use it in an `async with` statement, or await `close`.

    Iterables passed to its methods are read on the thread of the event loop.
    """

    def __init__(
        self,
        target: str,
        api_key: str = "",
        *,
        ca: bytes | None = None,
        client_cert: bytes | None = None,
        client_key: bytes | None = None,
        timeout_s: float = 30.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        """Connects to `target` (HOST:PORT).

        `ca` (PEM) enables TLS, `client_cert` and `client_key` (PEM) mutual TLS. `timeout_s` is the deadline of a call,
        including its retries.
        """
        self._endpoint = Endpoint(target, api_key, ca, client_cert, client_key)
        self._timeout_s, self._retry = timeout_s, retry or RetryPolicy()
        self._channel = async_channel(self._endpoint)
        self._stubs = make_stubs(self._channel)
        self._keyed: bool | None = None  # whether the server takes idempotency keys; None: not asked yet

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection."""
        await async_close(self._channel)

    create_collection = async_method(calls.create_collection)
    get_collection = async_method(calls.get_collection)
    list_collections_page = async_method(calls.list_collections_page)
    update_collection = async_method(calls.update_collection)
    tune_collection = async_method(tuning.tune_collection)
    calibrate_collection = async_method(tuning.calibrate_collection)
    delete_collection = async_method(calls.delete_collection)
    insert = async_method(calls.insert)
    get_records = async_method(calls.get_records)
    list_records_page = async_method(calls.list_records_page)
    sample_records = async_method(calls.sample_records)
    update_records = async_method(calls.update_records)
    delete_records = async_method(calls.delete_records)
    count_records = async_method(calls.count_records)
    check_filter = async_method(calls.check_filter)
    search = async_method(searches.search)
    compare = async_method(searches.compare)
    encode = async_method(searches.encode)
    encode_texts = async_method(searches.encode_texts)
    detect_objects = async_method(searches.detect_objects)
    classify = async_method(searches.classify)
    rank = async_method(searches.rank)
    judge_pairs = async_method(judgements.judge_pairs)
    judged_pairs_page = async_method(judgements.judged_pairs_page)
    add_feedback = async_method(judgements.add_feedback)
    get_feedback = async_method(judgements.get_feedback)
    clear_feedback = async_method(judgements.clear_feedback)
    project_records = async_method(searches.project_records)
    create_saved_search = async_method(saved_searches.create_saved_search)
    update_saved_search = async_method(saved_searches.update_saved_search)
    get_saved_search = async_method(saved_searches.get_saved_search)
    list_saved_searches_page = async_method(saved_searches.list_saved_searches_page)
    saved_search_versions = async_method(saved_searches.saved_search_versions)
    restore_saved_search = async_method(saved_searches.restore_saved_search)
    delete_saved_search = async_method(saved_searches.delete_saved_search)
    server_info = async_method(calls.server_info)
    create_snapshot = async_method(admin.create_snapshot)
    list_snapshots = async_method(admin.list_snapshots)
    restore_snapshot = async_method(admin.restore_snapshot)
    verify_snapshot = async_method(admin.verify_snapshot)
    delete_snapshot = async_method(admin.delete_snapshot)
    index_stats = async_method(admin.index_stats)
    rebuild_index = async_method(admin.rebuild_index)
    verify_index = async_method(admin.verify_index)
    exchange_collections = async_method(admin.exchange_collections)
    usage = async_method(admin.usage)
    search_report = async_method(admin.search_report)
    set_search_report = async_method(admin.set_search_report)
    privacy_report = async_method(admin.privacy_report)
    list_access_requests = async_method(oversight.list_access_requests)
    approve_access = async_method(oversight.approve_access)
    decline_access = async_method(oversight.decline_access)
    revoke_access = async_method(oversight.revoke_access)
    set_picture_policy = async_method(kept.set_picture_policy)
    picture_link = async_method(kept.picture_link)
    picture_links = async_method(kept.picture_links)
    create_training_set = async_method(training.create_training_set)
    list_training_sets = async_method(training.list_training_sets)
    get_training_set = async_method(training.get_training_set)
    delete_training_set = async_method(training.delete_training_set)
    list_examples_page = async_method(training.list_examples_page)
    delete_examples = async_method(training.delete_examples)
    example_link = async_method(training.example_link)
    train_model = async_method(training.train_model)
    list_trainings = async_method(training.list_trainings)
    get_training = async_method(training.get_training)
    cancel_training = async_method(training.cancel_training)
    list_models = async_method(training.list_models)
    delete_model = async_method(training.delete_model)
    erase_records = async_method(oversight.erase_records)
    erase_collection = async_method(oversight.erase_collection)
    list_audit_entries = async_method(oversight.list_audit_entries)
    audit_head = async_method(oversight.audit_head)
    read_audit = async_method(oversight.read_audit)
    set_read_audit = async_method(oversight.set_read_audit)
    create_source = async_method(catalogues.create_source)
    get_source = async_method(catalogues.get_source)
    list_sources = async_method(catalogues.list_sources)
    update_source = async_method(catalogues.update_source)
    delete_source = async_method(catalogues.delete_source)
    preview_feed = async_method(catalogues.preview_feed)
    start_run = async_method(catalogues.start_run)
    get_run = async_method(catalogues.get_run)
    list_runs = async_method(catalogues.list_runs)
    approve_run = async_method(catalogues.approve_run)
    cancel_run = async_method(catalogues.cancel_run)
    undo_deletions = async_method(catalogues.undo_deletions)
    list_failures_page = async_method(catalogues.list_failures_page)
    retry_failures = async_method(catalogues.retry_failures)
    push_item = async_method(catalogues.push_item)
    push_deletion = async_method(catalogues.push_deletion)
    rotate_push_secret = async_method(catalogues.rotate_push_secret)

    async def collections(self) -> AsyncIterator[Collection]:
        """Yields all collections, ordered by name."""
        token = ""
        while True:
            page, token = await self.list_collections_page(token)
            for collection in page:
                yield collection
            if not token:
                return

    async def records(
        self, collection: str, *, filter: str = "", include_vectors: bool = False, order_by: str = ""
    ) -> AsyncIterator[Record]:
        """Yields all matching records, in order of first insertion, or by an attribute ("price", "price desc")."""
        token = ""
        while True:
            page, token = await self.list_records_page(
                collection,
                filter=filter,
                page_token=token,
                page_size=1000,
                include_vectors=include_vectors,
                order_by=order_by,
            )
            for record in page:
                yield record
            if not token:
                return

    async def saved_searches(self, collection: str) -> AsyncIterator[SavedSearch]:
        """Yields the saved searches of a collection, ordered by name."""
        token = ""
        while True:
            page, token = await self.list_saved_searches_page(collection, token)
            for saved in page:
                yield saved
            if not token:
                return

    async def judged_pairs(
        self, collection: str, *, verdict: str = "", record_id: str = ""
    ) -> AsyncIterator[judgements.JudgedPair]:
        """Yields all judged pairs, or those with a verdict ("different", "same_product") or of a record."""
        token = ""
        while True:
            page, token = await self.judged_pairs_page(
                collection, verdict=verdict, record_id=record_id, page_token=token, page_size=1000
            )
            for pair in page:
                yield pair
            if not token:
                return

    async def find_duplicates(
        self,
        collection: str,
        *,
        filter: str = "",
        max_distance: float | None = None,
        ignore_verdicts: bool = False,
        on_summary: Callable[[judgements.DuplicatesSummary], None] | None = None,
    ) -> AsyncIterator[DuplicateGroup]:
        """Yields groups of records that look the same, as they are found, and follows the verdicts of `judge_pairs`.

        - max_distance: maximum cosine distance; None: the encoder's near-duplicate threshold.
        - ignore_verdicts: group as if no pair had been judged.
        - on_summary: is called at the end with how many pairs verdicts left out and joined.
        """
        request = made(duplicates_request, collection, filter, max_distance, ignore_verdicts, on_summary is not None)
        try:
            stream = self._stubs["SearchService"].FindDuplicates(request, metadata=self._endpoint.metadata)
            async for message in stream:
                if not message.HasField("summary"):
                    yield to_duplicate_group(message)
                elif on_summary is not None:
                    on_summary(judgements.to_summary(message.summary))
        except grpc.RpcError as failure:
            raise from_rpc_error(failure) from None

    async def watch_run(self, run_id: str) -> AsyncIterator[Run]:
        """Yields a run after each change, until it has ended or waits for approval. Reopens a broken stream."""
        request, attempt = made(catalogues.watch_request, run_id), 0
        while True:
            try:
                async for message in self._stubs["SyncService"].WatchRun(request, metadata=self._endpoint.metadata):
                    attempt = 0
                    yield catalogues.to_run(message.run)
                return
            except grpc.RpcError as failure:
                attempt += 1
                await self._wait_or_raise(from_rpc_error(failure), attempt, retry_safe=True)

    async def watch_training(self, training_id: str) -> AsyncIterator[Training]:
        """Yields a training after each change, until it has ended. Reopens a broken stream."""
        request, attempt = made(training.watch_training_request, training_id), 0
        stub = self._stubs["TrainingService"]
        while True:
            try:
                async for message in stub.WatchTraining(request, metadata=self._endpoint.metadata):
                    attempt = 0
                    yield training.to_training(message.training)
                return
            except grpc.RpcError as failure:
                attempt += 1
                await self._wait_or_raise(from_rpc_error(failure), attempt, retry_safe=True)

    async def add_examples(self, training_set: str, examples: Iterable[NewExample]) -> AsyncIterator[ExampleResult]:
        """Adds labelled pictures over one stream. Yields a result per example, in order, once it is stored."""
        batches = Remembering(training.example_batches(training_set, examples))
        try:
            responses = self._stubs["TrainingService"].AddExamples(batches, metadata=self._endpoint.metadata)
            async for response in responses:
                for message in response.results:
                    yield training.to_example_result(message)
        except grpc.RpcError as failure:
            raise batches.failure or from_rpc_error(failure) from None
        if batches.failure is not None:
            raise batches.failure

    async def import_records(
        self,
        collection: str,
        records: Iterable[NewRecord],
        *,
        insert_only: bool = False,
        split_objects: bool = False,
        max_objects: int = 0,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> AsyncIterator[RecordResult]:
        """Inserts records over one stream. Yields a result per record, in order, once it is on disk.

        `records` is read as fast as the server accepts them. An exception that it raises is raised here, after the
        results of all records before it. A broken stream is reopened if that is safe (not with `insert_only`).
        `on_progress` is called after each batch. `split_objects` and `max_objects` are those of `insert`.
        """
        limit = (await self.server_info()).limits["max_image_bytes"]
        first = ImportRecordsRequest(
            collection=collection, insert_only=insert_only, split_objects=split_objects, max_objects=max_objects
        )
        outbox = Outbox(first, records, max_image_bytes=limit)
        done = failed = attempt = 0
        while True:
            try:
                stream = self._stubs["RecordService"].ImportRecords(outbox.requests(), metadata=self._endpoint.metadata)
                async for response in stream:
                    outbox.answered()
                    attempt = 0
                    results = outbox.in_order(to_result(m) for m in response.results)
                    done, failed = done + len(results), failed + sum(r.error is not None for r in results)
                    if on_progress is not None:
                        on_progress(Progress(done, failed))
                    for result in results:
                        yield result
                for result in outbox.refused_here():
                    yield result
                if outbox.failure is not None:
                    raise outbox.failure
                return
            except grpc.RpcError as failure:
                attempt += 1
                await self._wait_or_raise(from_rpc_error(failure), attempt, retry_safe=not insert_only)

    async def _run(self, call: Call[T]) -> T:
        method, metadata = getattr(self._stubs[call.service], call.method), self._endpoint.metadata
        if call.takes_key:
            metadata = (*metadata, (HEADER, new_key()))
        deadline = time.monotonic() + (call.timeout_s or self._timeout_s)
        attempt = 0
        while True:
            try:
                left_s = max(0.001, deadline - time.monotonic())
                return call.parse(await method(call.request, timeout=left_s, metadata=metadata))
            except grpc.RpcError as failure:
                attempt += 1
                error = from_rpc_error(failure)
                safe = call.retry_safe or (call.takes_key and await self._takes_keys(error, attempt, deadline))
                await self._wait_or_raise(error, attempt, retry_safe=safe, deadline=deadline)

    async def _takes_keys(self, error: AfterimageError, attempt: int, deadline: float) -> bool:
        """Whether a call with a key can be repeated after an error: servers of earlier versions ignore keys. Asks the
        server once."""
        if self._retry.delay_s(error, attempt, retry_safe=True) is None:
            return False
        if self._keyed is None:
            left_s = max(0.001, deadline - time.monotonic())
            with contextlib.suppress(AfterimageError):
                info = await self._run(dataclasses.replace(calls.server_info(), timeout_s=left_s))
                self._keyed = info.takes_idempotency_keys
        return bool(self._keyed)

    async def _wait_or_raise(
        self, error: AfterimageError, attempt: int, *, retry_safe: bool, deadline: float | None = None
    ) -> None:
        delay_s = self._retry.delay_s(error, attempt, retry_safe=retry_safe)
        if delay_s is None or (deadline is not None and time.monotonic() + delay_s >= deadline):
            raise error from None
        await async_sleep(delay_s)
