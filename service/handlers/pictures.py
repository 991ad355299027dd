"""PictureService."""

from __future__ import annotations

from afterimage.v1 import picture_service_pb2 as pb
from afterimage.v1.collection_service_pb2 import PicturePolicy
from index import Collection, KeptPicture
from service.calls.error_details import to_record_error
from service.engine.download_links import DownloadLink, DownloadLinks
from service.engine.engine import Engine
from service.erasure.erasing import Erasing
from service.errors import ServiceError
from service.handlers.conversion.values import check_count, from_policy, timestamp, to_policy
from service.handlers.erasure import from_receipt
from service.handlers.request_limits import DEFAULT_LINK_MINUTES, MAX_IDS
from service.tenancy.keyring import Principal


class PictureHandlers:
    """Documented in picture_service.proto."""

    def __init__(self, engine: Engine, erasing: Erasing, download_links: DownloadLinks) -> None:
        self._engine, self._erasing, self._download_links = engine, erasing, download_links

    async def SetPicturePolicy(
        self, request: pb.SetPicturePolicyRequest, caller: Principal
    ) -> pb.SetPicturePolicyResponse:
        """Changes the picture policy. Without `force` it only reports what it would delete."""
        policy = to_policy(request.policy, "policy")
        done = await self._erasing.policy(caller, request.collection, policy, force=request.force)
        return pb.SetPicturePolicyResponse(
            policy=from_policy(done.spec.picture_policy), policy_version=done.spec.policy_version,
            copy_count=done.dropped.copies, url_count=done.dropped.urls, changed=done.changed,
            receipt=from_receipt(done.receipt) if done.receipt is not None else None,
        )  # fmt: skip

    async def GetPictureLink(self, request: pb.GetPictureLinkRequest, caller: Principal) -> pb.GetPictureLinkResponse:
        """Returns a link to the picture of a record."""
        collection = await self._engine.collection(caller, request.collection)
        (kept,) = await self._engine.picture_storage.kept(collection, [request.record_id])
        if isinstance(kept, ServiceError):
            raise kept
        link, policy = self._link(caller, collection, kept, request.minutes), _policy_of(collection)
        expires = timestamp(link.expires_ms) if link.expires_ms else None
        return pb.GetPictureLinkResponse(url=link.url, expire_time=expires, policy=policy)

    async def GetPictureLinks(
        self, request: pb.GetPictureLinksRequest, caller: Principal
    ) -> pb.GetPictureLinksResponse:
        """Returns links to the pictures of records; a record without one fails alone."""
        ids = list(request.record_ids)
        check_count("record_ids", len(ids), MAX_IDS)
        collection = await self._engine.collection(caller, request.collection)
        response = pb.GetPictureLinksResponse(policy=_policy_of(collection))
        kept_of_ids = await self._engine.picture_storage.kept(collection, ids)
        for record_id, kept in zip(ids, kept_of_ids, strict=True):
            result = response.links.add(record_id=record_id)
            if isinstance(kept, ServiceError):
                result.error.CopyFrom(to_record_error(kept))
                continue
            link = self._link(caller, collection, kept, request.minutes)
            result.url = link.url
            if link.expires_ms and not response.HasField("expire_time"):  # that of the first, which expires first
                response.expire_time.CopyFrom(timestamp(link.expires_ms))
        return response

    def _link(self, caller: Principal, collection: Collection, kept: KeptPicture, minutes: int) -> DownloadLink:
        """`expires_ms` is 0 of a picture's own URL. Raises ServiceError (PICTURES_NOT_SERVED, ARGUMENT_INVALID)."""
        if kept.url:
            return DownloadLink(kept.url, 0)
        home, minutes = collection.pictures.home, minutes or DEFAULT_LINK_MINUTES
        return self._download_links.make(caller, "picture", home, kept.object_id, minutes)


def _policy_of(collection: Collection) -> PicturePolicy.ValueType:
    return from_policy(collection.spec.picture_policy)
