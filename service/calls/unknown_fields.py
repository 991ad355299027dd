"""Detects fields of a message that this version does not know."""

from __future__ import annotations

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from service.errors import Reason, ServiceError


def reject_unknown_fields(message: Message) -> None:
    """Raises ServiceError (FIELD_UNKNOWN) if a message has a field that this version does not know.

    Silently ignoring an option would do harm later.
    """
    if len(UnknownFieldSet(message)):
        name = message.DESCRIPTOR.name
        raise ServiceError(Reason.FIELD_UNKNOWN, f"{name} has an unknown field", field=name)
    for known, value in message.ListFields():
        if known.message_type is None or known.message_type.GetOptions().map_entry:
            continue
        for part in value if isinstance(value, list) or hasattr(value, "add") else (value,):
            reject_unknown_fields(part)


def drop_unknown_fields(message: Message) -> bool:
    """Removes the fields that this version does not know; returns whether there were any. Protobuf does both in a
    fraction of the time that it takes to look at each part: an unknown field has a size."""
    size = message.ByteSize()
    message.DiscardUnknownFields()
    return message.ByteSize() != size
