"""PictureService."""

from __future__ import annotations

from afterimage.v1 import picture_service_pb2 as pb
from service.engine.download_links import DownloadLinks
from service.engine.engine import Engine
from service.erasure.erasing import Erasing
from service.handlers.conversion.values import from_policy, timestamp, to_policy
from service.handlers.erasure import from_receipt
from service.handlers.request_limits import DEFAULT_LINK_MINUTES
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
        kept = await self._engine.picture_storage.kept(collection, request.record_id)
        policy = from_policy(collection.spec.picture_policy)
        if kept.url:
            return pb.GetPictureLinkResponse(url=kept.url, policy=policy)
        minutes, home = request.minutes or DEFAULT_LINK_MINUTES, collection.pictures.home
        link = self._download_links.make(caller, "picture", home, kept.object_id, minutes)
        return pb.GetPictureLinkResponse(url=link.url, expire_time=timestamp(link.expires_ms), policy=policy)
