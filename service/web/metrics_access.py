"""Who may read `/metrics`: everybody who reaches a port that only operators reach, else whoever shows the token."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web


@dataclass(frozen=True)
class MetricsAccess:
    """Rules of one port.

    - `token_file`: contains the token that readers must show as a bearer; read anew at each request. None: none.
    - `closed`: nobody may read, since the port also serves tenants on other machines.
    """

    token_file: Path | None = None
    closed: bool = False

    async def refusal(self, request: web.Request) -> web.Response | None:
        """Returns the response for those who may not read; None for those who may."""
        if self.token_file is None:
            if not self.closed:
                return None
            remedy = "set `metrics`, a port of its own, or `metrics_token_file`"
            return web.Response(status=403, text=f"metrics are not served on a port for tenants: {remedy}\n")
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and await asyncio.to_thread(self._matches, shown.strip()):
            return None
        text = "send `authorization: Bearer <token>` with the contents of metrics_token_file\n"
        return web.Response(status=401, text=text, headers={"WWW-Authenticate": "Bearer"})

    def _matches(self, shown: str) -> bool:
        assert self.token_file is not None
        try:
            token = self.token_file.read_bytes().strip()
        except OSError:
            return False
        return bool(token) and hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), token)
