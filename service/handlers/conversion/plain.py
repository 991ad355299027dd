"""Recognises the commonest search: one vector, and nothing else."""

from __future__ import annotations

from afterimage.v1 import search_service_pb2 as pb


def is_plain(request: pb.SearchRequest) -> bool:
    """Whether one vector, the collection and k are all that is set. Their sizes say so: they leave no room in the
    message for anything else, not even for fields that this version does not know."""
    if len(request.query) != 1 or not request.collection or request.k <= 0:
        return False
    vector = request.query[0].vector
    term = _field_size(len(vector))
    size = _field_size(len(request.collection.encode())) + _field_size(term) + 1 + _varint_size(request.k)
    return bool(vector) and request.ByteSize() == size


def _field_size(length: int) -> int:
    """The size of a field with so many bytes: tag, length and content."""
    return 1 + _varint_size(length) + length


def _varint_size(value: int) -> int:
    return max(1, (value.bit_length() + 6) // 7)
