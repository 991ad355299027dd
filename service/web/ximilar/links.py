"""Links to pictures in a response, where a collection keeps the URLs of its pictures."""

from __future__ import annotations

from typing import Any

from afterimage.v1.collection_service_pb2 import PICTURE_POLICY_REFERENCE, GetCollectionRequest
from afterimage.v1.picture_service_pb2 import GetPictureLinksRequest
from service.errors import Reason, ServiceError
from service.web.ximilar.exchange import Exchange
from service.web.ximilar.names import ID, URL, Shown

_MOST_LINKS = 1000  # of one call


async def with_links(
    exchange: Exchange, collection: str, shown: Shown, records: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Adds `_url` to the first thousand records, if it was asked for, the collection keeps URLs and the key may read
    them. Returns the records, and remarks."""
    if not shown.links or not records:
        return records, []
    found = await exchange.call("CollectionService/GetCollection", GetCollectionRequest(name=collection))
    if found.collection.picture_policy != PICTURE_POLICY_REFERENCE:
        return records, []
    some = records[:_MOST_LINKS]
    message = GetPictureLinksRequest(collection=collection, record_ids=[record[ID] for record in some])
    try:
        response = await exchange.call("PictureService/GetPictureLinks", message)
    except ServiceError as error:
        if error.reason is not Reason.SCOPE_MISSING:
            raise
        return records, []
    for record, link in zip(some, response.links, strict=True):
        if link.url:
            record[URL] = link.url
    return records, [f"_url is given for {_MOST_LINKS} records"] if len(records) > _MOST_LINKS else []
