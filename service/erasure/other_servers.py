"""Erasing on all servers that share tenants: what one has erased, the others erase, too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from index import AfterimageIndexError, ErasingServers, StoreUnavailable
from service.errors import Reason, ServiceError
from service.runtime.deadline import remaining_s
from service.tenancy.database import TenancyError
from service.tenancy.registry import TenantRegistry
from service.tenancy.spaces import TenantSpaces

_LOG = logging.getLogger(__name__)
_EVERY_S, _LOOK_S, _WAIT_S, _RETRY_S = 1.0, 0.2, 60.0, 5.0


class OtherServers:
    """Of one server, for one event loop."""

    def __init__(
        self, servers: ErasingServers, spaces: TenantSpaces, registry: TenantRegistry,
        forget: Callable[[], Awaitable[None]], wait_s: float = _WAIT_S,
    ) -> None:  # fmt: skip
        """`forget`: returns once no query process has in its memory what was erased before. `wait_s`: how long the
        other servers may take."""
        self._servers, self._spaces, self._registry = servers, spaces, registry
        self._forget, self._wait_s = forget, wait_s
        self._failing = False

    async def settle_for_ever(self) -> None:
        """Erases what other servers erase, and tells them that this server runs. In a task of its own: servers that
        erase at the same time wait for each other."""
        while True:
            await self.settle()
            await asyncio.sleep(_EVERY_S)

    async def settle(self) -> None:
        """Erases what other servers have erased. Failures are logged."""
        try:
            uids = [t.uid for t in await asyncio.to_thread(self._registry.tenants)]
            newest, wanted = await asyncio.to_thread(self._servers.wanted, uids)
            for uid in wanted:
                await asyncio.to_thread(self._erase, uid)
            if wanted:
                await self._forget()
            await asyncio.to_thread(self._servers.did, newest)
            self._failing = False
        except (OSError, AfterimageIndexError, ServiceError) as error:
            if not self._failing:
                _LOG.warning("could not erase what other servers have erased; retrying: %s", error)
            self._failing = True

    def _erase(self, uid: str) -> None:
        try:
            directory = self._spaces.directory(uid)
        except TenancyError:
            return  # the tenant is deleted, and its files go
        except ServiceError as error:
            if error.reason is Reason.REGION_MISMATCH:
                return  # nothing of it is here
            raise
        directory.erase_followed()

    async def erase(self, tenant_uid: str) -> None:
        """Returns once all other servers that run have erased what this one has erased of a tenant. Raises ServiceError
        (UNAVAILABLE) if that takes too long, or PostgreSQL does not answer."""
        try:
            number = await asyncio.to_thread(self._servers.want, tenant_uid)
            left: list[str] = []
            try:
                async with asyncio.timeout(min(self._wait_s, remaining_s())):
                    while True:
                        found = await asyncio.to_thread(self._servers.left, number)
                        left = [s.name for s in found if s.runs]
                        if not left:
                            break
                        await asyncio.sleep(_LOOK_S)
            except TimeoutError:
                message = f"these servers have not yet erased what was erased here: {', '.join(left)}; try again"
                raise ServiceError(Reason.STORE_UNAVAILABLE, message, retry_delay_s=_RETRY_S) from None
        except StoreUnavailable as error:
            raise ServiceError(Reason.STORE_UNAVAILABLE, str(error), retry_delay_s=_RETRY_S) from error
        if found:
            _LOG.warning(
                "these servers do not run, and erase at their next start: %s", ", ".join(s.name for s in found)
            )
