"""Which connections the HTTP port closes when there are too many."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from service.metrics import Metrics
from service.web.connections import ConnectionLimits, Connections


class Transport(asyncio.Transport):
    def __init__(self, address: str, port: int = 1) -> None:
        super().__init__({"peername": (address, port)})
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class Port:
    """Connections by name; the name begins with the last number of the address."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.metrics = Metrics()
        self.connections = Connections(limits, self.metrics)
        self.protocols: dict[str, asyncio.Protocol] = {}
        self.transports: dict[str, Transport] = {}

    def open(self, *names: str) -> list[bool]:
        return [self._opened(name) for name in names]

    def _opened(self, name: str) -> bool:
        protocol = self.protocols[name] = asyncio.Protocol()
        transport = self.transports[name] = Transport(f"192.0.2.{name[0]}", 1000 + len(self.transports))
        return self.connections.opened(protocol, transport)

    async def request(self, name: str, until: asyncio.Event | None = None) -> None:
        """A request, that ends with the event."""

        async def handle(_: Any) -> Any:
            if until is not None:
                await until.wait()

        body = SimpleNamespace(is_eof=lambda: True)
        request: Any = SimpleNamespace(protocol=self.protocols[name], raw_headers=(), content=body)
        await self.connections.middleware(request, handle)

    @property
    def aborted(self) -> set[str]:
        return {name for name, transport in self.transports.items() if transport.aborted}

    def closed(self, limit: str) -> float:
        return float(self.metrics.http_connections_closed.labels(limit)._value.get())

    def close(self) -> None:
        self.connections.close()
        for protocol in self.protocols.values():
            self.connections.closed(protocol)
        assert not self.metrics.http_connections._value.get()


async def test_a_full_port_closes_the_oldest_idle_connection_of_whoever_has_most() -> None:
    port = Port(ConnectionLimits(most=3))
    assert port.open("2a", "1a", "1b", "3a") == [True] * 4
    assert (port.aborted, port.closed("all")) == ({"1a"}, 1)
    port.close()


async def test_an_address_at_its_limit_loses_its_own_oldest_and_others_lose_nothing() -> None:
    port = Port(ConnectionLimits(most_per_address=2))
    assert port.open("2a", "2b", "1a", "1b", "1c", "1d") == [True] * 6
    assert (port.aborted, port.closed("address")) == ({"1a", "1b"}, 2)
    port.close()


async def test_connections_on_which_a_valid_key_was_used_are_closed_last() -> None:
    known = {"ipv4:192.0.2.1:1000"}
    port = Port(ConnectionLimits(most_per_address=3, knows=known.__contains__))
    port.open("1a", "1b", "1c")
    await port.request("1a")
    await port.request("1b")
    port.open("1d", "1e")
    assert port.aborted == {"1b", "1c"}
    port.open("1f", "1g")
    assert port.aborted == {"1b", "1c", "1d", "1e"}
    port.close()


async def test_connections_with_a_request_stay_and_where_all_have_one_the_new_is_refused() -> None:
    port, over = Port(ConnectionLimits(most_per_address=2)), asyncio.Event()
    port.open("1a", "1b")
    requests = [asyncio.create_task(port.request(name, over)) for name in ("1a", "1b")]
    await asyncio.sleep(0)
    assert port.open("1c", "2a") == [False, True]
    assert port.aborted == {"1c"}
    over.set()
    await asyncio.gather(*requests)
    assert port.open("1d") == [True]
    assert port.aborted == {"1a", "1c"}
    port.close()


async def test_a_proxy_may_have_as_many_as_the_port() -> None:
    port = Port(ConnectionLimits(most=4, most_per_address=1, proxies=("192.0.2.1/32",), admits=lambda peer: False))
    assert port.open("1a", "1b", "1c", "2a") == [True, True, True, False]
    assert port.closed("rate") == 1
    port.close()


async def test_a_connection_without_a_request_is_closed() -> None:
    port = Port(ConnectionLimits(head_s=0.01))
    port.open("1a")
    async with asyncio.timeout(10):
        while not port.aborted:
            await asyncio.sleep(0)
    assert port.closed("late") == 1
    port.close()


async def test_of_too_many_bytes_of_heads_whoever_sent_most_is_closed() -> None:
    port = Port(ConnectionLimits())
    port.open("1a", "1b", "1c")
    for name, mib in (("1a", 20), ("1b", 30), ("1c", 10)):
        port.connections.received_head(port.protocols[name], mib << 20)
    assert port.aborted == set()
    port.connections.completed_head(port.protocols["1a"])
    port.connections.received_head(port.protocols["1c"], 24 << 20)
    assert port.aborted == set()
    port.connections.received_head(port.protocols["1a"], 1 << 20)
    assert port.aborted == {"1c"}
    port.close()


async def test_the_connection_of_a_peer_is_closed() -> None:
    port = Port(ConnectionLimits())
    port.open("1a", "1b")
    assert port.connections.close_peer("ipv4:192.0.2.1:1001")
    assert not port.connections.close_peer("ipv4:192.0.2.1:1002")
    assert port.aborted == {"1b"}
    port.close()
