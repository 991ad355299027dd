"""Where requests come from, and whether the way here is safe: TLS, this machine, or a proxy that terminates TLS."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from service.errors import Reason, ServiceError
from service.runtime.certificates import Certificates
from service.web.addresses import Address, endpoint, peer_name, read_address
from service.web.tls import ClientCertificate, client_certificate


@dataclass(frozen=True)
class Entry:
    """How the HTTP port can be reached.

    - `proxies`: networks, CIDR, of proxies that terminate TLS.
    - `hosts`: names that the API answers to, besides addresses, localhost, and the names in the port's certificate.
    - `certificates`: None: the port speaks plain HTTP.
    """

    proxies: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    certificates: Certificates | None = None


class Callers:
    """Checks the connection and the Host header of requests."""

    def __init__(self, entry: Entry) -> None:
        self._proxies = [ipaddress.ip_network(network) for network in entry.proxies]
        self._certificates = entry.certificates
        self._hosts = {host.lower().rstrip(".") for host in entry.hosts if host} | {"localhost"}

    def peer(self, request: web.Request) -> str:
        """Returns the client's address as gRPC writes it, `ipv4:192.0.2.1:4711`. Behind a declared proxy it is the
        address that the proxy reports, with port 0."""
        address, port = endpoint(request.transport)
        if address is None:
            return peer_name(None, 0)
        client = self._forwarded(request, address)
        return peer_name(client, 0) if client != address else peer_name(address, port)

    def certificate(self, request: web.Request) -> ClientCertificate:
        """Returns the certificate that the client of a request presented."""
        return client_certificate(request, self._certificates)

    def check(self, request: web.Request) -> None:
        """Raises ServiceError (CONNECTION_INSECURE, CERTIFICATE_INVALID, HOST_UNKNOWN)."""
        address, _ = endpoint(request.transport)
        secure = request.transport is not None and request.transport.get_extra_info("sslcontext") is not None
        if not secure and (address is None or not (address.is_loopback or self._is_proxy(address))):
            message = "keys and pictures are not accepted over plain HTTP from another machine; see http_proxies"
            raise ServiceError(Reason.CONNECTION_INSECURE, message)
        self.certificate(request).check()
        authority, _ = split_target(request.raw_path)
        if not self._answers_to([authority] if authority else request.headers.getall("Host", [])):
            raise ServiceError(Reason.HOST_UNKNOWN, "the Host header names another server; see http_hosts")

    def _answers_to(self, given: list[str]) -> bool:
        if len(given) != 1:
            return False
        host = given[0].strip().lower()
        host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        host = host.rstrip(".")
        return host in self._hosts or read_address(host) is not None or self._is_certified(host)

    def _is_certified(self, host: str) -> bool:
        names = self._certificates.contents.names if self._certificates is not None else ()
        _, dot, parent = host.partition(".")
        return any(name.lower() in (host, f"*{dot}{parent}") for name in names)

    def _is_proxy(self, address: Address) -> bool:
        return any(address in network for network in self._proxies)

    def _forwarded(self, request: web.Request, address: Address) -> Address:
        """Returns the last forwarded address that is not a declared proxy."""
        chain = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        while chain and self._is_proxy(address):
            told = read_address(chain.pop().strip())
            if told is None:
                break
            address = told
        return address


def split_target(target: str) -> tuple[str, str]:
    """Splits the target of a request into authority and path with query string.

    The authority is empty unless the target is a whole URL, as clients of proxies write it (RFC 9112, 3.2.2).
    """
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return "", target
    authority, slash, path = rest.partition("/")
    return authority, slash + path


def allowed_hosts(given: Iterable[str], *urls: str) -> tuple[str, ...]:
    """Returns the given host names and those in the URLs."""
    return (*given, *(url.partition("://")[2].partition("/")[0].partition(":")[0] for url in urls if url))
