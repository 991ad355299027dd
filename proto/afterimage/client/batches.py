"""Cutting a long import into messages, and knowing which of them still wait for an answer."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator

from afterimage.client.convert import record_input
from afterimage.client.values import NewRecord
from afterimage.v1 import record_service_pb2 as records_pb

MAX_RECORDS = 32
MAX_BYTES = 4 * 1024 * 1024


def cut(records: Iterable[NewRecord], max_image_bytes: int) -> Iterator[list[records_pb.RecordInput]]:
    """Batches of at most MAX_RECORDS records and, but for a record that is larger by itself, MAX_BYTES bytes.

    Of a picture that is too large for the server only one byte more than it takes is sent: it then refuses that record
    by its size, instead of gRPC the whole stream.
    """
    batch: list[records_pb.RecordInput] = []
    size = 0
    for record in records:
        message = record_input(record)
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


class Outbox:
    """Batches that were taken from the source and not yet answered; a new stream sends them again, in order.

    grpc takes requests from a thread of its own, and that of a broken stream may still run when the next stream
    begins: each stream has a number, and only the newest is served. `trouble` is what the source raised, which ends it.
    """

    def __init__(
        self, collection: str, records: Iterable[NewRecord], *, insert_only: bool, max_image_bytes: int
    ) -> None:
        self._collection, self._insert_only = collection, insert_only
        self._source = cut(records, max_image_bytes)
        self._waiting: deque[records_pb.ImportRecordsRequest] = deque()
        self._stream = 0
        self._sent = 0
        self._lock = threading.Lock()
        self.trouble: Exception | None = None

    def requests(self) -> Iterator[records_pb.ImportRecordsRequest]:
        """The requests of a new stream: first those without an answer, then what is left of the source."""
        with self._lock:
            self._stream += 1
            self._sent = 0
            stream = self._stream
        while (request := self._next(stream)) is not None:
            yield request

    def answered(self) -> None:
        """The oldest request without an answer has one now."""
        with self._lock:
            self._waiting.popleft()
            self._sent -= 1

    def _next(self, stream: int) -> records_pb.ImportRecordsRequest | None:
        with self._lock:
            if stream != self._stream:
                return None
            if self._sent == len(self._waiting):
                try:
                    batch = None if self.trouble else next(self._source, None)
                except Exception as error:  # grpc's thread would hide it: the client raises it once all is answered
                    self.trouble = error
                    batch = None
                if batch is None:
                    return None
                self._waiting.append(
                    records_pb.ImportRecordsRequest(
                        collection=self._collection, records=batch, insert_only=self._insert_only
                    )
                )
            self._sent += 1
            return self._waiting[self._sent - 1]
