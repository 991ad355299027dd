"""Calls for collections that store pictures. See `calls`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from afterimage.client import convert
from afterimage.client.calls import Call
from afterimage.client.checks import checked_texts
from afterimage.client.oversight import ErasureReceipt, to_receipt
from afterimage.client.values import RecordFailure
from afterimage.v1 import picture_service_pb2 as pb

_PATIENCE_S = 3600.0  # work that grows with a collection


@dataclass(frozen=True)
class PolicyChange:
    """The result of a change of the picture policy.

    - copies, urls: numbers of those that were, or would be, deleted.
    - receipt: set if something was deleted.
    """

    policy: str
    policy_version: int
    copies: int
    urls: int
    changed: bool
    receipt: ErasureReceipt | None


@dataclass(frozen=True)
class PictureLink:
    """A link to a picture. expire_time: None if it is the original URL of the picture."""

    url: str
    expire_time: datetime | None
    policy: str


@dataclass(frozen=True)
class RecordLink:
    """A link to the picture of a record, or the reason why there is none."""

    record_id: str
    url: str
    error: RecordFailure | None


@dataclass(frozen=True)
class PictureLinks:
    """Links to pictures, one per id, in order. expire_time: None if they are the original URLs of the pictures."""

    links: tuple[RecordLink, ...]
    expire_time: datetime | None
    policy: str


def set_picture_policy(collection: str, policy: str, *, force: bool = False) -> Call[PolicyChange]:
    """Changes the picture policy: DISCARD, REFERENCE or ENCRYPTED_COPY.

    Without `force` nothing is changed if something would be deleted.
    """
    request = pb.SetPicturePolicyRequest(collection=collection, policy=convert.to_policy(policy), force=force)
    return Call("PictureService", "SetPicturePolicy", request, _change, timeout_s=_PATIENCE_S)


def picture_link(collection: str, record_id: str, *, minutes: int = 0) -> Call[PictureLink]:
    """Returns a link to the picture of a record, valid for 1 to 60 minutes (0: 10)."""
    request = pb.GetPictureLinkRequest(collection=collection, record_id=record_id, minutes=minutes)
    return Call("PictureService", "GetPictureLink", request, _link)


def picture_links(collection: str, record_ids: Sequence[str], *, minutes: int = 0) -> Call[PictureLinks]:
    """Returns links to the pictures of up to 1,000 records, valid for 1 to 60 minutes (0: 10)."""
    request = pb.GetPictureLinksRequest(
        collection=collection, record_ids=checked_texts("record_ids", record_ids), minutes=minutes
    )
    return Call("PictureService", "GetPictureLinks", request, _links)


def _change(r: pb.SetPicturePolicyResponse) -> PolicyChange:
    receipt = to_receipt(r.receipt) if r.HasField("receipt") else None
    return PolicyChange(convert.from_policy(r.policy), r.policy_version, r.copy_count, r.url_count, r.changed, receipt)


def _link(r: pb.GetPictureLinkResponse) -> PictureLink:
    return PictureLink(r.url, _end(r), convert.from_policy(r.policy))


def _links(r: pb.GetPictureLinksResponse) -> PictureLinks:
    links = tuple(
        RecordLink(m.record_id, m.url, convert.to_failure(m.error) if m.HasField("error") else None) for m in r.links
    )
    return PictureLinks(links, _end(r), convert.from_policy(r.policy))


def _end(r: pb.GetPictureLinkResponse | pb.GetPictureLinksResponse) -> datetime | None:
    return r.expire_time.ToDatetime(timezone.utc) if r.HasField("expire_time") else None
