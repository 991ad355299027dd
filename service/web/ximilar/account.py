"""Whether the service is there, and whose key it is."""

from __future__ import annotations

from afterimage.v1.collection_service_pb2 import GetCollectionRequest
from afterimage.v1.server_info_service_pb2 import GetServerInfoRequest
from service.web.ximilar.answers import Answer
from service.web.ximilar.exchange import Exchange


async def ping(exchange: Exchange) -> Answer:
    """Checks the key, and the collection if the header names one."""
    info = await exchange.call("ServerInfoService/GetServerInfo", GetServerInfoRequest())
    if exchange.header_collection:
        message = GetCollectionRequest(name=exchange.header_collection)
        await exchange.call("CollectionService/GetCollection", message)
    return Answer({"_service_info": {"_name": "afterimage", "_info": f"Afterimage {info.version}"}})


async def authorize(exchange: Exchange) -> Answer:
    """Whose key it is, for programs that ask before they start."""
    await exchange.call("ServerInfoService/GetServerInfo", GetServerInfoRequest())
    return Answer({"user_id": exchange.key_id})


async def user(exchange: Exchange) -> Answer:
    """Whose key it is."""
    await exchange.call("ServerInfoService/GetServerInfo", GetServerInfoRequest())
    return Answer({"id": exchange.key_id})
