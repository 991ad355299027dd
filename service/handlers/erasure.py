"""ErasureService."""

from __future__ import annotations

from afterimage.v1 import erasure_service_pb2 as pb
from service.erasure.erasing import Erasing
from service.erasure.receipts import Receipt
from service.handlers.conversion.values import check_count
from service.handlers.request_limits import MAX_IDS
from service.tenancy.keyring import Principal


class ErasureHandlers:
    """Documented in erasure_service.proto."""

    def __init__(self, erasing: Erasing) -> None:
        self._erasing = erasing

    async def EraseRecords(self, request: pb.EraseRecordsRequest, caller: Principal) -> pb.EraseRecordsResponse:
        """Erases records and products."""
        records, products = list(request.record_ids), [p for p in request.product_ids if p]
        check_count("record_ids", len(records) + len(products), MAX_IDS)
        receipt = await self._erasing.records(caller, request.collection, records, products)
        return pb.EraseRecordsResponse(receipt=from_receipt(receipt))

    async def EraseCollection(
        self, request: pb.EraseCollectionRequest, caller: Principal
    ) -> pb.EraseCollectionResponse:
        """Erases a collection."""
        return pb.EraseCollectionResponse(receipt=from_receipt(await self._erasing.collection(caller, request.name)))


def from_receipt(receipt: Receipt) -> pb.ErasureReceipt:
    """Returns the message of a receipt."""
    return pb.ErasureReceipt(**{**receipt.to_dict(), "signature": receipt.signature})  # type: ignore[arg-type]
