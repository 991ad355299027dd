"""ErasureService."""

from __future__ import annotations

from typing import Any

import grpc

from afterimage.v1 import erasure_service_pb2 as pb
from afterimage.v1 import erasure_service_pb2_grpc as pb_grpc
from service.calls.interceptor import principal
from service.erasure.erasing import Erasing
from service.erasure.receipts import Receipt
from service.handlers.conversion.values import check_count

Context = grpc.aio.ServicerContext[Any, Any]
_MOST_IDS = 1000


class ErasureServicer(pb_grpc.ErasureServiceServicer):
    """Documented in erasure_service.proto."""

    def __init__(self, erasing: Erasing) -> None:
        self._erasing = erasing

    async def EraseRecords(self, request: pb.EraseRecordsRequest, context: Context) -> pb.EraseRecordsResponse:
        """Erases records and products."""
        records, products = list(request.record_ids), [p for p in request.product_ids if p]
        check_count("record_ids", len(records) + len(products), _MOST_IDS)
        receipt = await self._erasing.records(principal(), request.collection, records, products)
        return pb.EraseRecordsResponse(receipt=from_receipt(receipt))

    async def EraseCollection(self, request: pb.EraseCollectionRequest, context: Context) -> pb.EraseCollectionResponse:
        """Erases a collection."""
        return pb.EraseCollectionResponse(
            receipt=from_receipt(await self._erasing.collection(principal(), request.name))
        )


def from_receipt(receipt: Receipt) -> pb.ErasureReceipt:
    """A receipt as a message."""
    return pb.ErasureReceipt(**{**receipt.told(), "signature": receipt.signature})  # type: ignore[arg-type]
