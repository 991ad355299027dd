"""TLS on the HTTP port: the handshake of a new connection, and the certificate that its client presented."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from service.errors import Reason, ServiceError
from service.runtime.certificates import Certificates, names_in

_HANDSHAKE_S = 10.0
_SHUTDOWN_S = 5.0


class Handshakes:
    """Starts TLS on connections, each with the newest certificate."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    async def secure(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> asyncio.Transport:
        """Returns the encrypted transport, whose protocol is `protocol`. It may receive data before this returns.

        Raises OSError (ssl.SSLError, ConnectionError, TimeoutError) if the client does not complete the handshake.
        """
        contents = await asyncio.to_thread(self._certificates.newest)
        secure = await asyncio.get_running_loop().start_tls(
            transport, protocol, contents.context, server_side=True,
            ssl_handshake_timeout=_HANDSHAKE_S, ssl_shutdown_timeout=_SHUTDOWN_S,
        )  # fmt: skip
        if secure is None:
            raise ConnectionResetError("the client has gone")
        return secure


@dataclass(frozen=True)
class ClientCertificate:
    """The certificate that a client presented.

    - `certificates`: those of the port; None without TLS.
    - `der`: empty if the client presented none.
    """

    certificates: Certificates | None = None
    der: bytes = b""

    def names(self) -> tuple[str, ...]:
        """Returns the names in it; empty if there is none."""
        return names_in(self.der) if self.der else ()

    def check(self) -> None:
        """Raises ServiceError (CERTIFICATE_INVALID) if one is needed and missing, was revoked, or has expired."""
        if self.certificates is None or not self.certificates.asks_clients:
            return
        if not self.der:
            raise ServiceError(Reason.CERTIFICATE_INVALID, "connect with a certificate that client_ca has signed")
        self.certificates.check([self.der])


NO_CERTIFICATE = ClientCertificate()


def client_certificate(request: web.Request, certificates: Certificates | None) -> ClientCertificate:
    """Returns what the client of a request presented. `certificates`: those of the port."""
    transport = request.transport if certificates is not None else None
    connection = transport.get_extra_info("ssl_object") if transport is not None else None
    if connection is None:
        return ClientCertificate(certificates)
    return ClientCertificate(certificates, connection.getpeercert(binary_form=True) or b"")
