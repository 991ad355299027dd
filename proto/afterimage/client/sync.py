"""The client for ordinary programs. Safe to share between threads."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar, cast

import grpc

from afterimage.client import admin, calls, catalogues, kept, oversight, training
from afterimage.client.arguments import made
from afterimage.client.batches import Outbox, Remembering
from afterimage.client.calls import Call
from afterimage.client.catalogue_values import Run
from afterimage.client.channel import OPTIONS, Endpoint, make_stubs
from afterimage.client.convert import duplicates_request, to_duplicate_group, to_result
from afterimage.client.errors import AfterimageError, from_rpc_error
from afterimage.client.retry import RetryPolicy
from afterimage.client.training import ExampleResult, NewExample, Training
from afterimage.client.values import Collection, DuplicateGroup, NewRecord, Progress, Record, RecordResult

P = ParamSpec("P")
T = TypeVar("T")


def _method(make: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    @functools.wraps(make)
    def method(self: Client, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(made(make, *args, **kwargs))

    return cast("Callable[Concatenate[Client, P], T]", method)


class Client:
    """A connection to one server. Use it in a `with` statement, or call `close`."""

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
        """`ca` (PEM) makes the connection TLS, `client_cert` and `client_key` mutual TLS. `timeout_s` is the deadline
        of a call, its retries included."""
        self._endpoint = Endpoint(target, api_key, ca, client_cert, client_key)
        self._timeout_s, self._retry = timeout_s, retry or RetryPolicy()
        credentials = self._endpoint.credentials
        if credentials is None:
            self._channel = grpc.insecure_channel(target, OPTIONS)
        else:
            self._channel = grpc.secure_channel(target, credentials, OPTIONS)
        self._stubs = make_stubs(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    create_collection = _method(calls.create_collection)
    get_collection = _method(calls.get_collection)
    list_collections_page = _method(calls.list_collections_page)
    update_collection = _method(calls.update_collection)
    delete_collection = _method(calls.delete_collection)
    insert = _method(calls.insert)
    get_records = _method(calls.get_records)
    list_records_page = _method(calls.list_records_page)
    update_records = _method(calls.update_records)
    delete_records = _method(calls.delete_records)
    count_records = _method(calls.count_records)
    check_filter = _method(calls.check_filter)
    search = _method(calls.search)
    encode = _method(calls.encode)
    classify = _method(calls.classify)
    rank = _method(calls.rank)
    server_info = _method(calls.server_info)
    create_snapshot = _method(admin.create_snapshot)
    list_snapshots = _method(admin.list_snapshots)
    restore_snapshot = _method(admin.restore_snapshot)
    verify_snapshot = _method(admin.verify_snapshot)
    delete_snapshot = _method(admin.delete_snapshot)
    index_stats = _method(admin.index_stats)
    rebuild_index = _method(admin.rebuild_index)
    verify_index = _method(admin.verify_index)
    exchange_collections = _method(admin.exchange_collections)
    usage = _method(admin.usage)
    list_access_requests = _method(oversight.list_access_requests)
    approve_access = _method(oversight.approve_access)
    decline_access = _method(oversight.decline_access)
    revoke_access = _method(oversight.revoke_access)
    set_picture_policy = _method(kept.set_picture_policy)
    picture_link = _method(kept.picture_link)
    create_training_set = _method(training.create_training_set)
    list_training_sets = _method(training.list_training_sets)
    get_training_set = _method(training.get_training_set)
    delete_training_set = _method(training.delete_training_set)
    list_examples_page = _method(training.list_examples_page)
    delete_examples = _method(training.delete_examples)
    example_link = _method(training.example_link)
    train_model = _method(training.train_model)
    list_trainings = _method(training.list_trainings)
    get_training = _method(training.get_training)
    cancel_training = _method(training.cancel_training)
    list_models = _method(training.list_models)
    delete_model = _method(training.delete_model)
    erase_records = _method(oversight.erase_records)
    erase_collection = _method(oversight.erase_collection)
    list_audit_entries = _method(oversight.list_audit_entries)
    audit_head = _method(oversight.audit_head)
    read_audit = _method(oversight.read_audit)
    set_read_audit = _method(oversight.set_read_audit)
    create_source = _method(catalogues.create_source)
    get_source = _method(catalogues.get_source)
    list_sources = _method(catalogues.list_sources)
    update_source = _method(catalogues.update_source)
    delete_source = _method(catalogues.delete_source)
    preview_feed = _method(catalogues.preview_feed)
    start_run = _method(catalogues.start_run)
    get_run = _method(catalogues.get_run)
    list_runs = _method(catalogues.list_runs)
    approve_run = _method(catalogues.approve_run)
    cancel_run = _method(catalogues.cancel_run)
    undo_deletions = _method(catalogues.undo_deletions)
    list_failures_page = _method(catalogues.list_failures_page)
    retry_failures = _method(catalogues.retry_failures)

    def collections(self) -> Iterator[Collection]:
        """All collections, ordered by name."""
        token = ""
        while True:
            page, token = self.list_collections_page(token)
            yield from page
            if not token:
                return

    def records(self, collection: str, *, filter: str = "", include_vectors: bool = False) -> Iterator[Record]:
        """All matching records, in the order of their first insertion."""
        token = ""
        while True:
            page, token = self.list_records_page(
                collection, filter=filter, page_token=token, page_size=1000, include_vectors=include_vectors
            )
            yield from page
            if not token:
                return

    def find_duplicates(
        self, collection: str, *, filter: str = "", max_distance: float | None = None
    ) -> Iterator[DuplicateGroup]:
        """Groups of records that look the same, as they are found; without a distance, near-duplicates."""
        request = made(duplicates_request, collection, filter, max_distance)
        try:
            stream = self._stubs["SearchService"].FindDuplicates(request, metadata=self._endpoint.metadata)
            for message in stream:
                yield to_duplicate_group(message)
        except grpc.RpcError as failure:
            raise from_rpc_error(failure) from None

    def watch_run(self, run_id: str) -> Iterator[Run]:
        """A run whenever something of it has changed, until it has ended or waits for approval. A broken stream is
        taken up again."""
        request, attempt = made(catalogues.watch_request, run_id), 0
        while True:
            try:
                for message in self._stubs["SyncService"].WatchRun(request, metadata=self._endpoint.metadata):
                    attempt = 0
                    yield catalogues.to_run(message.run)
                return
            except grpc.RpcError as failure:
                attempt += 1
                self._wait_or_raise(from_rpc_error(failure), attempt, retry_safe=True)

    def watch_training(self, training_id: str) -> Iterator[Training]:
        """A training whenever it has changed, until it has ended. A broken stream is taken up again."""
        request, attempt = made(training.watch_training_request, training_id), 0
        stub = self._stubs["TrainingService"]
        while True:
            try:
                for message in stub.WatchTraining(request, metadata=self._endpoint.metadata):
                    attempt = 0
                    yield training.to_training(message.training)
                return
            except grpc.RpcError as failure:
                attempt += 1
                self._wait_or_raise(from_rpc_error(failure), attempt, retry_safe=True)

    def add_examples(self, training_set: str, examples: Iterable[NewExample]) -> Iterator[ExampleResult]:
        """Adds any number of labelled pictures over one stream; a result for each, in order, once it is stored."""
        batches = Remembering(training.example_batches(training_set, examples))
        try:
            responses = self._stubs["TrainingService"].AddExamples(batches, metadata=self._endpoint.metadata)
            for response in responses:
                for message in response.results:
                    yield training.to_example_result(message)
        except grpc.RpcError as failure:
            raise batches.failure or from_rpc_error(failure) from None
        if batches.failure is not None:
            raise batches.failure

    def import_records(
        self,
        collection: str,
        records: Iterable[NewRecord],
        *,
        insert_only: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Iterator[RecordResult]:
        """Inserts any number of records over one stream; yields a result per record, in order, once it is on disk.

        `records` is read as the server keeps up; what it raises is raised here, once all before it is answered. A
        broken stream is taken up again where that is safe (not with `insert_only`). `on_progress` is called after each
        batch.
        """
        limit = (self.server_info()).limits["max_image_bytes"]
        outbox = Outbox(collection, records, insert_only=insert_only, max_image_bytes=limit)
        done = failed = attempt = 0
        while True:
            try:
                responses = self._stubs["RecordService"].ImportRecords(
                    outbox.requests(), metadata=self._endpoint.metadata
                )
                for response in responses:
                    outbox.answered()
                    attempt = 0
                    results = outbox.in_order(to_result(m) for m in response.results)
                    done, failed = done + len(results), failed + sum(r.error is not None for r in results)
                    if on_progress is not None:
                        on_progress(Progress(done, failed))
                    yield from results
                yield from outbox.refused_here()
                if outbox.failure is not None:
                    raise outbox.failure
                return
            except grpc.RpcError as failure:
                attempt += 1
                self._wait_or_raise(from_rpc_error(failure), attempt, retry_safe=not insert_only)

    def _run(self, call: Call[T]) -> T:
        method = getattr(self._stubs[call.service], call.method)
        deadline = time.monotonic() + (call.timeout_s or self._timeout_s)
        attempt = 0
        while True:
            try:
                left_s = max(0.001, deadline - time.monotonic())
                return call.parse(method(call.request, timeout=left_s, metadata=self._endpoint.metadata))
            except grpc.RpcError as failure:
                attempt += 1
                self._wait_or_raise(from_rpc_error(failure), attempt, retry_safe=call.retry_safe, deadline=deadline)

    def _wait_or_raise(
        self, error: AfterimageError, attempt: int, *, retry_safe: bool, deadline: float | None = None
    ) -> None:
        delay_s = self._retry.delay_s(error, attempt, retry_safe=retry_safe)
        if delay_s is None or (deadline is not None and time.monotonic() + delay_s >= deadline):
            raise error from None
        time.sleep(delay_s)
