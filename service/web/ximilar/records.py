"""Records of a request: the list itself, ids, pictures, and metadata as attributes."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from afterimage.v1.record_service_pb2 import RecordInput, RecordPatch
from afterimage.v1.types_pb2 import AttributeValue, StringList
from service.errors import Reason, ServiceError
from service.web.ximilar.answers import Skipped
from service.web.ximilar.names import ID, PRODUCT_ID, RESERVED, URL, folded

MOST_RECORDS = 100
_DATA_URI = re.compile(r"data:[^,]{0,100};base64,")
_BASE64, _FILE = "_base64", "_file"
_MOST_INTEGER = 2**53


@dataclass
class Batch:
    """Records of a request, translated one by one. message: of the first call. sent: those that were accepted, by
    position in the message. skipped: the others."""

    message: Any
    sent: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def each(self, records: list[dict[str, Any]], add: Callable[[dict[str, Any]], None]) -> None:
        """Adds each record; one that is invalid is skipped."""
        for record in records:
            try:
                add(record)
                self.sent.append(record)
            except ServiceError as error:
                self.skipped.append(Skipped(shown_id(record), error, record))


class NoneLeftError(ServiceError):
    """Every record of the request is invalid."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(Reason.ARGUMENT_INVALID, "no record of the request is valid")
        self.batch = batch


def records_of(body: Mapping[str, Any], name: str = "records", most: int = MOST_RECORDS) -> list[dict[str, Any]]:
    """The records of a body. Raises ServiceError (ARGUMENT_INVALID)."""
    records = body.get(name)
    if type(records) is not list or any(type(record) is not dict for record in records):
        raise invalid(name, "must be a list of objects")
    if not 1 <= len(records) <= most:
        raise invalid(name, f"must have 1 to {most} records, not {len(records)}")
    return records


def shown_id(record: Mapping[str, Any]) -> str | None:
    """The id of a record for a response; None if it has no valid one."""
    return str(record[ID]) if type(record.get(ID)) in (str, int) else None


def id_of(record: Mapping[str, Any]) -> str:
    """The id of a record. Raises ServiceError (ARGUMENT_INVALID)."""
    given = shown_id(record)
    if not given:
        raise invalid(ID, "must be a text or an integer")
    return given


def put_picture(record: dict[str, Any], message: Any) -> None:
    """Moves the picture of a record into a message with the fields `image` and `url`; `_base64` has precedence. Raises
    ServiceError (ARGUMENT_INVALID, SOURCE_MISSING)."""
    record.pop(_FILE, None)
    content = record.pop(_BASE64, None)
    if content is not None:
        message.image = _decoded(content)
    elif record.get(URL) is not None:
        if type(record[URL]) is not str:
            raise invalid(URL, "must be a text")
        message.url = record[URL]
    else:
        raise ServiceError(Reason.SOURCE_MISSING, "a record needs _base64 or _url")


def put_input(record: dict[str, Any], message: RecordInput) -> None:
    """Fills a record to insert. Raises ServiceError (ARGUMENT_INVALID, SOURCE_MISSING)."""
    put_picture(record, message)
    message.record_id = id_of(record)
    if record.get(PRODUCT_ID) is not None:
        message.product_id = _product_of(record[PRODUCT_ID])
    for name, value in attributes_of(record).items():
        if value is not None:
            message.attributes[name].CopyFrom(value)


def put_patch(record: dict[str, Any], message: RecordPatch) -> None:
    """Fills a change of a record: null removes. Raises ServiceError (ARGUMENT_INVALID)."""
    message.record_id = id_of(record)
    if PRODUCT_ID in record:
        message.product_id = _product_of(record[PRODUCT_ID])
    for name, value in attributes_of(record).items():
        if value is None:
            message.remove_attributes.append(name)
        else:
            message.set_attributes[name].CopyFrom(value)


def attributes_of(record: Mapping[str, Any]) -> dict[str, AttributeValue | None]:
    """The metadata of a record, by folded names; None: null. Raises ServiceError (ARGUMENT_INVALID)."""
    found: dict[str, AttributeValue | None] = {}
    for name, value in _flat(record, ""):
        attribute = folded(name)
        if attribute in found:
            raise invalid(attribute, "is the name of two fields of the record")
        found[attribute] = None if value is None else _value(attribute, value)
    return found


def _flat(given: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Names and values; those of nested objects with a dot."""
    for name, value in given.items():
        if not prefix and (name in RESERVED or name == PRODUCT_ID):
            continue
        if type(value) is dict:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _value(name: str, given: Any) -> AttributeValue:
    kind = type(given)
    if kind is bool:
        return AttributeValue(bool_value=given)
    if kind is int and abs(given) > _MOST_INTEGER:
        raise invalid(name, "is too large to be an exact number; send it as a text")
    if kind in (int, float):
        return AttributeValue(number_value=given)
    if kind is str:
        return AttributeValue(string_value=given)
    members = [v if type(v) is str else orjson.dumps(v).decode() for v in given]
    return AttributeValue(list_value=StringList(values=members))


def _product_of(given: Any) -> str:
    if given is None:
        return ""
    if type(given) not in (str, int, float):
        raise invalid(PRODUCT_ID, "must be a text or a number")
    return str(given)


def _decoded(content: Any) -> bytes:
    if type(content) is not str:
        raise invalid(_BASE64, "must be a text")
    head = _DATA_URI.match(content)
    try:
        return binascii.a2b_base64(content[head.end() :] if head else content, strict_mode=True)
    except ValueError:
        raise invalid(_BASE64, "is not valid base64") from None


def invalid(field: str, problem: str) -> ServiceError:
    """The error for a field of a request."""
    return ServiceError(Reason.ARGUMENT_INVALID, f"{field[:80]} {problem}", field=field[:80])
