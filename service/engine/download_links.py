"""Links to stored pictures of a tenant.

A link opens while the key that requested it is valid, the picture is stored, and the link has not expired.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from service.engine.workers import Workers
from service.errors import Reason, ServiceError
from service.objects.links import Linked, Links
from service.tenancy.keyring import KeyRing, Principal

Opener = Callable[[Linked], Awaitable[bytes]]


@dataclass(frozen=True)
class DownloadLink:
    """A link. `expires_ms`: its expiry in milliseconds since 1970."""

    url: str
    expires_ms: int


class DownloadLinks:
    """For any tenant."""

    def __init__(
        self, links: Links, api_keys: KeyRing, workers: Workers, openers: Mapping[str, Opener], base: Callable[[], str]
    ) -> None:
        """Creates and opens links.

        - `openers`: a function per kind that reads one; it raises ServiceError if it was deleted.
        - `base`: returns the public URL of the HTTP port; empty if there is none.
        """
        self._links, self._api_keys, self._workers = links, api_keys, workers
        self._openers, self._base = openers, base

    def make(self, caller: Principal, kind: str, place: str, object_id: str, minutes: int) -> DownloadLink:
        """A link to a thing. Raises ServiceError (PICTURES_NOT_SERVED, ARGUMENT_INVALID)."""
        base = self._base()
        if not base:
            message = (
                "this server does not serve pictures over HTTP; its operator must set `http` and `http_public_url`"
            )
            raise ServiceError(Reason.PICTURES_NOT_SERVED, message)
        linked = Linked(caller.tenant_uid, kind, place, object_id, caller.key_id)
        token, expires_ms = self._links.make(linked, minutes)
        return DownloadLink(f"{base}/pictures/{token}", expires_ms)

    async def open(self, token: str) -> bytes:
        """Returns the target of a link.

        Raises ServiceError (LINK_INVALID, LINK_EXPIRED, PICTURE_NOT_FOUND, PICTURE_DAMAGED).
        """
        linked = self._links.read(token)
        if not await self._workers.read(self._api_keys.lives, linked.tenant_uid, linked.key_id):
            raise ServiceError(Reason.LINK_EXPIRED, "the key that the link was created with is no longer valid")
        opener = self._openers.get(linked.kind)
        if opener is None:
            raise ServiceError(Reason.LINK_INVALID, "the link was not created by this server")
        return await opener(linked)
