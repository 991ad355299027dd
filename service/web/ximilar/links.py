"""Links to pictures in a response, where a collection keeps the URLs of its pictures."""

from __future__ import annotations

from typing import Any

from afterimage.v1.collection_service_pb2 import PICTURE_POLICY_REFERENCE, GetCollectionRequest
from afterimage.v1.picture_service_pb2 import GetPictureLinkRequest
from service.errors import Reason, ServiceError
from service.runtime.concurrency import gather_bounded
from service.web.ximilar.exchange import Exchange
from service.web.ximilar.names import ID, URL, Shown

_MOST_LINKS = 100  # each is a call and an entry of the audit log
_AT_ONCE = 4
_NO_LINK = frozenset({Reason.SCOPE_MISSING, Reason.PICTURE_NOT_FOUND, Reason.RECORD_NOT_FOUND})


async def with_links(
    exchange: Exchange, collection: str, shown: Shown, records: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Adds `_url` to the first hundred records, if it was asked for, the collection keeps URLs and the key may read
    them. Returns the records, and remarks."""
    if not shown.links or not records:
        return records, []
    found = await exchange.call("CollectionService/GetCollection", GetCollectionRequest(name=collection))
    if found.collection.picture_policy != PICTURE_POLICY_REFERENCE or not await _add(exchange, collection, records[0]):
        return records, []
    some = records[1:_MOST_LINKS]
    await gather_bounded((_add(exchange, collection, record) for record in some), _AT_ONCE)
    return records, [f"_url is given for {_MOST_LINKS} records"] if len(records) > _MOST_LINKS else []


async def _add(exchange: Exchange, collection: str, record: dict[str, Any]) -> bool:
    """Returns whether the key may read links."""
    message = GetPictureLinkRequest(collection=collection, record_id=record[ID])
    try:
        response = await exchange.call("PictureService/GetPictureLink", message)
    except ServiceError as error:
        if error.reason not in _NO_LINK:
            raise
        return error.reason is not Reason.SCOPE_MISSING
    record[URL] = response.url
    return True
