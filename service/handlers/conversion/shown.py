"""Hits and records as pieces of encoded messages. A collection keeps them (`SearchQuery.show`), answers join them.

A piece is a whole field of the response in protobuf's binary encoding, with its tag and length. So a response parses
what was joined instead of being filled hit by hit, and is the same message.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

import numpy as np
from google.protobuf.message import Message

from afterimage.v1 import record_service_pb2 as records_pb
from afterimage.v1 import search_service_pb2 as pb
from afterimage.v1 import types_pb2 as types_pb
from index import ShownHit, StoredRecord
from service.handlers.conversion.tuning import LIKENESS
from service.handlers.conversion.values import from_attributes, from_record
from service.tuning.calibration import Calibration, Likeness

_DELIMITED, _FIXED32, _FIXED64, _VARINT = 2, 5, 1, 0  # wire types


def _tag(message: type[Message], field: str, wire_type: int) -> int:
    return int(message.DESCRIPTOR.fields_by_name[field].number) << 3 | wire_type


_HITS = _tag(pb.SearchResponse, "hits", _DELIMITED)
_RECORDS = _tag(records_pb.GetRecordsResponse, "records", _DELIMITED)
_SCORE, _DISTANCE = _tag(pb.Hit, "score", _FIXED32), _tag(pb.Hit, "distance", _FIXED32)
_LIKENESS = _tag(pb.Hit, "likeness", _VARINT)
_NEARNESS = Struct("<BfBfBB")  # tags and values of these three
_NEARNESS_ROW = np.dtype([
    ("score_tag", "u1"), ("score", "<f4"), ("distance_tag", "u1"), ("distance", "<f4"), ("likeness_tag", "u1"),
    ("likeness", "u1"),
])  # fmt: skip
_LIKENESS_NUMBERS = np.array([LIKENESS[word] for word in Likeness], np.uint8)
_RESULTS = _tag(pb.BatchSearchResponse, "results", _DELIMITED)
_RESPONSE = _tag(pb.SearchResult, "response", _DELIMITED)
_TIMINGS = _tag(pb.SearchResponse, "timings", _DELIMITED)
_ENCODE, _SEARCH, _TOTAL = (_tag(pb.SearchTimings, f"{name}_ms", _FIXED64) for name in ("encode", "search", "total"))
_TIMES = Struct("<BBBdBdBd")


def shown_hit(record: StoredRecord) -> bytes:
    """The field `hits` of a SearchResponse with a record, up to where `joined_hits` adds how near it is."""
    message = pb.Hit(record_id=record.record_id, product_id=record.product_id)
    from_attributes(record.attributes, message.attributes)
    content = message.SerializeToString()
    return _head(_HITS, len(content) + _NEARNESS.size) + content


def joined_hits(hits: Sequence[ShownHit], calibration: Calibration) -> bytes:
    """The fields `hits` of a SearchResponse."""
    parts: list[bytes] = []
    scores = calibration.scores([distance for _, distance in hits])
    for (content, distance), score in zip(hits, scores, strict=True):
        likeness = LIKENESS[calibration.likeness(distance)]
        parts += content, _NEARNESS.pack(_SCORE, score, _DISTANCE, distance, _LIKENESS, likeness)
    return b"".join(parts)


def joined_hits_of_all(answers: Sequence[Sequence[ShownHit]], calibration: Calibration) -> list[bytes]:
    """As `joined_hits` for each of many answers, in less time."""
    distances = [distance for hits in answers for _, distance in hits]
    near = np.empty(len(distances), _NEARNESS_ROW)
    near["score_tag"], near["distance_tag"], near["likeness_tag"] = _SCORE, _DISTANCE, _LIKENESS
    near["score"], near["distance"] = calibration.scores(distances), distances
    near["likeness"] = _LIKENESS_NUMBERS[calibration.words(distances)]
    raw, size, joined, place = near.tobytes(), _NEARNESS.size, list[bytes](), 0
    for hits in answers:
        parts: list[bytes] = []
        for content, _ in hits:
            parts += content, raw[place : place + size]
            place += size
        joined.append(b"".join(parts))
    return joined


def result_field(response: bytes) -> bytes:
    """The field `results` of a BatchSearchResponse with a response."""
    head = _head(_RESPONSE, len(response))
    return _head(_RESULTS, len(head) + len(response)) + head + response


def timings_field(encode_ms: float, search_ms: float, total_ms: float) -> bytes:
    """The field `timings` of a SearchResponse."""
    return _TIMES.pack(_TIMINGS, _TIMES.size - 2, _ENCODE, encode_ms, _SEARCH, search_ms, _TOTAL, total_ms)


def shown_record(record: StoredRecord) -> bytes:
    """The field `records` of a GetRecordsResponse with a record."""
    message = types_pb.Record()
    from_record(record, message)
    content = message.SerializeToString()
    return _head(_RECORDS, len(content)) + content


def _head(tag: int, length: int) -> bytes:
    """A tag, and a length as protobuf writes it: seven bits in each byte, the lowest first."""
    head = bytearray((tag,))
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head)
