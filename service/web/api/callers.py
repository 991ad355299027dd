"""Where requests come from, and whether the way here is safe: TLS, this machine, or a proxy that terminates TLS."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from service.errors import Reason, ServiceError

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Entry:
    """How the HTTP port may be reached. proxies: networks, CIDR, of proxies that terminate TLS. hosts: names that the
    API answers to, besides addresses and localhost."""

    proxies: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Callers:
    """Judges requests by their connection and their Host header."""

    def __init__(self, entry: Entry) -> None:
        self._proxies = [ipaddress.ip_network(network) for network in entry.proxies]
        self._hosts = {host.lower().rstrip(".") for host in entry.hosts if host} | {"localhost"}

    def peer(self, request: web.Request) -> str:
        """Where a request comes from, as gRPC writes it: behind a proxy of ours, the client that the proxy saw."""
        address, port = _endpoint(request)
        if address is None:
            return "unknown"
        client = self._forwarded(request, address)
        return _written(client, 0) if client != address else _written(address, port)

    def check(self, request: web.Request) -> None:
        """Raises ServiceError (CONNECTION_INSECURE, HOST_UNKNOWN)."""
        address, _ = _endpoint(request)
        secure = request.transport is not None and request.transport.get_extra_info("sslcontext") is not None
        if not secure and (address is None or not (address.is_loopback or self._is_proxy(address))):
            message = "keys and pictures are not accepted over plain HTTP from another machine; see http_proxies"
            raise ServiceError(Reason.CONNECTION_INSECURE, message)
        if not self._answers_to(request.headers.getall("Host", [])):
            raise ServiceError(Reason.HOST_UNKNOWN, "the Host header names another server; see http_hosts")

    def _answers_to(self, given: list[str]) -> bool:
        if len(given) != 1:
            return False
        host = given[0].strip().lower()
        host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return host.rstrip(".") in self._hosts or _address(host) is not None

    def _is_proxy(self, address: _Address) -> bool:
        return any(address in network for network in self._proxies)

    def _forwarded(self, request: web.Request, address: _Address) -> _Address:
        """The last address that a proxy of ours did not have itself."""
        chain = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        while chain and self._is_proxy(address):
            told = _address(chain.pop().strip())
            if told is None:
                break
            address = told
        return address


def allowed_hosts(given: Iterable[str], *urls: str) -> tuple[str, ...]:
    """The names of hosts that are given, and those in URLs."""
    return (*given, *(url.partition("://")[2].partition("/")[0].partition(":")[0] for url in urls if url))


def _endpoint(request: web.Request) -> tuple[_Address | None, int]:
    name = request.transport.get_extra_info("peername") if request.transport is not None else None
    return (_address(name[0]), int(name[1])) if name else (None, 0)


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _written(address: _Address, port: int) -> str:
    return f"ipv4:{address}:{port}" if address.version == 4 else f"ipv6:[{address}]:{port}"
