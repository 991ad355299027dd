"""Converts messages to JSON text and back. Large texts are converted in a thread."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import orjson
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from service.errors import Reason, ServiceError
from service.web.proto_json import attributes
from service.web.proto_json.parsing import parse_text
from service.web.proto_json.reading import JsonError, Readers
from service.web.proto_json.writing import Writers

LARGE_BYTES = 256 * 1024  # a longer text, or a message that becomes one, would hold up other calls


class Codec:
    """Reads and writes one form of JSON. The functions for a message type are compiled on first use."""

    def __init__(self, *, plain: bool) -> None:
        """`plain`: attributes as plain values, and fields that hold their default are written. Otherwise the canonical
        form of proto3 JSON."""
        kind = attributes.TYPE
        self._writers = Writers(defaults=plain, special={kind: attributes.write_plain} if plain else {})
        self._readers = Readers(special={kind: attributes.read_plain} if plain else {})

    def write(self, message: Message) -> bytes:
        """Returns the message as JSON text."""
        return orjson.dumps(self._writers.of(_type_of(message))(message))

    def read(self, raw: bytes, message: Message) -> None:
        """Parses a JSON text into an empty message. Raises ServiceError (ARGUMENT_INVALID, FIELD_UNKNOWN)."""
        self.fill(parse_text(raw), message)

    def fill(self, given: Any, message: Message) -> None:
        """Fills an empty message from parsed JSON. Raises as `read` does."""
        try:
            self._readers.of(_type_of(message))(message, given)
        except JsonError as error:
            raise _as_service_error(error) from None

    async def write_beside(self, message: Message) -> bytes:
        """As `write`; a large message is written in a thread."""
        if message.ByteSize() <= LARGE_BYTES:
            return self.write(message)
        return await asyncio.to_thread(self.write, message)

    async def read_beside(self, raw: bytes, message: Message) -> None:
        """As `read`; a large text is read in a thread."""
        if len(raw) <= LARGE_BYTES:
            self.read(raw, message)
        else:
            await asyncio.to_thread(self.read, raw, message)


def _as_service_error(error: JsonError) -> ServiceError:
    reason = Reason.FIELD_UNKNOWN if error.unknown else Reason.ARGUMENT_INVALID
    field = error.field
    text = str(error) if error.unknown else f"{field or 'the body'} {error}"
    return ServiceError(reason, text, field=field)


def _type_of(message: Message) -> Descriptor:
    return cast(Descriptor, message.DESCRIPTOR)
