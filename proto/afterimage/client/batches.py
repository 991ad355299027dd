"""Splits a long import into messages, and tracks those without a response."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import grpc

from afterimage.client.convert import record_input
from afterimage.client.errors import InvalidArgument, invalid
from afterimage.client.values import NewRecord, RecordFailure, RecordResult
from afterimage.v1 import record_service_pb2 as records_pb

MAX_RECORDS = 32
MAX_BYTES = 4 * 1024 * 1024
T = TypeVar("T")


def cut(
    records: Iterable[NewRecord], max_image_bytes: int, refuse: Callable[[int, RecordResult], None] | None = None
) -> Iterator[list[records_pb.RecordInput]]:
    """Yields batches of at most MAX_RECORDS records and MAX_BYTES bytes; a larger record is a batch of its own.

    Of a picture that exceeds the server's limit only one byte more than the limit is sent: the server then rejects that
    record by its size, instead of gRPC the whole stream. A record that cannot become a message is left out, and
    `refuse` gets its position and error. Without `refuse`, InvalidArgument is raised.
    """
    if not hasattr(records, "__iter__"):
        raise invalid("records", f"records is of type {type(records).__name__}; pass an ordinary iterable of NewRecord")
    batch: list[records_pb.RecordInput] = []
    size = 0
    for place, record in enumerate(records):
        try:
            message = record_input(record)
        except InvalidArgument as error:
            if refuse is None:
                raise
            refuse(place, _failed(record, error))
            continue
        if len(message.image) > max_image_bytes:
            message.image = message.image[: max_image_bytes + 1]
        bytes_ = message.ByteSize()
        if batch and (len(batch) == MAX_RECORDS or size + bytes_ > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += bytes_
    if batch:
        yield batch


def _failed(record: object, error: InvalidArgument) -> RecordResult:
    why = RecordFailure(grpc.StatusCode.INVALID_ARGUMENT.value[0], error.reason, error.message, error.field, 0.0)
    return RecordResult(str(getattr(record, "record_id", "")), "failed", 0, why)


class Remembering(Iterator[T]):
    """Iterates over the same values until their source fails. The error, which gRPC would hide, is in `failure`."""

    def __init__(self, source: Iterable[T]) -> None:
        self._source = iter(source)
        self.failure: Exception | None = None

    def __next__(self) -> T:
        if self.failure is not None:
            raise StopIteration
        try:
            return next(self._source)
        except StopIteration:
            raise
        except Exception as error:
            self.failure = error
            raise StopIteration from None


class Outbox:
    """Batches that were read from the source and have no response yet. A new stream sends them again, in order.

    grpc reads requests on a thread of its own, and that of a broken stream may still run when the next stream begins.
    Each stream has a number, and only the newest gets requests.
    """

    def __init__(
        self, options: records_pb.ImportRecordsRequest, records: Iterable[NewRecord], *, max_image_bytes: int
    ) -> None:
        """`options`: what each request has beside its records."""
        self._options = options
        self._refused: dict[int, RecordResult] = {}
        self._source = Remembering(cut(records, max_image_bytes, self._refused.__setitem__))
        self._reported = 0
        self._waiting: deque[records_pb.ImportRecordsRequest] = deque()
        self._stream = 0
        self._sent = 0
        self._lock = threading.Lock()

    def requests(self) -> Iterator[records_pb.ImportRecordsRequest]:
        """Yields the requests of a new stream: first those without a response, then the rest of the source."""
        with self._lock:
            self._stream += 1
            self._sent = 0
            stream = self._stream
        while (request := self._next(stream)) is not None:
            yield request

    def answered(self) -> None:
        """Marks that the oldest request without a response has one."""
        with self._lock:
            self._waiting.popleft()
            self._sent -= 1

    @property
    def failure(self) -> Exception | None:
        """The error that the source of the records raised. Nothing is read after it."""
        return self._source.failure

    def in_order(self, results: Iterable[RecordResult]) -> list[RecordResult]:
        """Yields the results of the server, with those of records that were never sent at their positions."""
        whole = []
        for result in results:
            whole += self.refused_here()
            whole.append(result)
            self._reported += 1
        return whole + self.refused_here()

    def refused_here(self) -> list[RecordResult]:
        """Returns the results of records that were never sent, up to the next one that was."""
        found = []
        while (result := self._refused.pop(self._reported, None)) is not None:
            found.append(result)
            self._reported += 1
        return found

    def _next(self, stream: int) -> records_pb.ImportRecordsRequest | None:
        with self._lock:
            if stream != self._stream:
                return None
            if self._sent == len(self._waiting):
                batch = next(self._source, None)
                if batch is None:
                    return None
                request = records_pb.ImportRecordsRequest(records=batch)
                request.MergeFrom(self._options)
                self._waiting.append(request)
            self._sent += 1
            return self._waiting[self._sent - 1]
