"""TLS on the HTTP port: real connections, with certificates made for the test."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.metrics import Metrics
from service.runtime.certificates import Certificates, TlsFiles
from service.tenancy.apikeys import Scope
from service.tenancy.stored_keys import NewKey
from service.web.connections import ConnectionLimits, Connections
from service.web.counted_protocol import CountedProtocol
from service.web.tls import Handshakes
from tests.service.web.api.conftest import Http
from tests.support.servers import tls
from tests.support.servers.faces import Faces
from tests.support.servers.tls import issue, make_certificates, revoke

NAME = "spiffe://shop.example/search"
SERVER = "/v1/server"


@pytest.fixture
def made(tmp_path: Path) -> tls.Certificates:
    return make_certificates(tmp_path, NAME)


def trusting(made: tls.Certificates, *, shown: tls.Certificates | None = None) -> ssl.SSLContext:
    """What a client trusts, and the certificate that it presents."""
    context = ssl.create_default_context(cafile=str(made.ca))
    if shown is not None:
        context.load_cert_chain(shown.client_cert, shown.client_key)
    return context


@contextlib.asynccontextmanager
async def served(folder: Path, made: tls.Certificates, *, mutual: bool = False) -> AsyncIterator[Http]:
    """The API over TLS; with `mutual`, for clients with a certificate."""
    files = TlsFiles(made.server_cert, made.server_key)
    if mutual:
        files = replace(files, client_ca=made.ca, client_crl=revoke(made.ca.parent))
    async with Faces(folder, certificates=Certificates(files)) as faces, aiohttp.ClientSession() as session:
        yield Http(faces, session)


async def test_calls_are_served_over_tls_and_plain_http_gets_no_answer(tmp_path: Path, made: tls.Certificates) -> None:
    async with served(tmp_path, made) as http:
        assert (await http.send("GET", SERVER, ssl=trusting(made))).status == 200
        assert (await http.send("GET", SERVER, {}, ssl=trusting(made))).reason == "KEY_MISSING"
        plain = http.faces.http.replace("https", "http")
        with pytest.raises(aiohttp.ClientConnectionError):
            await http.session.get(plain + SERVER, headers=http.key())
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.send("GET", SERVER, ssl=ssl.create_default_context())
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await http.send("GET", path, {}, ssl=trusting(made))).status == 200


async def test_the_names_in_the_certificate_are_hosts_of_the_api(tmp_path: Path, made: tls.Certificates) -> None:
    issue(tmp_path, "server", host="*.shop.example")
    async with served(tmp_path, made) as http:
        unchecked = trusting(made)
        unchecked.check_hostname = False
        for host, status in (("a.shop.example", 200), ("A.shop.example:443", 200), ("shop.example", 421),
                             ("a.b.shop.example", 421), ("evil.example", 421)):  # fmt: skip
            headers = {**http.key(), "host": host}
            assert (await http.send("GET", SERVER, headers, ssl=unchecked)).status == status, host


async def test_with_a_ca_of_clients_only_health_is_served_without_a_certificate(
    tmp_path: Path, made: tls.Certificates
) -> None:
    async with served(tmp_path, made, mutual=True) as http:
        nothing, shown = trusting(made), trusting(made, shown=made)
        for path in (SERVER, "/v1/nothing"):
            refused = await http.send("GET", path, ssl=nothing)
            assert (refused.status, refused.reason) == (401, "CERTIFICATE_INVALID")
        assert (await http.send("GET", "/openapi.json", {}, ssl=nothing)).status == 401
        assert (await http.send("GET", "/metrics", {}, ssl=nothing)).status == 401
        assert (await http.send("GET", "/healthz", {}, ssl=nothing)).status == 200
        for path in (SERVER, "/openapi.json", "/metrics"):
            assert (await http.send("GET", path, ssl=shown)).status == 200


async def test_a_name_that_is_bound_to_a_tenant_needs_no_key(tmp_path: Path, made: tls.Certificates) -> None:
    async with served(tmp_path, made, mutual=True) as http:
        shown = trusting(made, shown=made)
        assert (await http.send("GET", SERVER, {}, ssl=shown)).reason == "KEY_MISSING"
        http.faces.registry.api_keys.bind(http.faces.uid, NAME, NewKey(frozenset({Scope.SEARCH})))
        assert (await http.send("GET", SERVER, {}, ssl=shown)).status == 200


async def test_expired_foreign_and_revoked_certificates_of_clients_are_refused(
    tmp_path: Path, made: tls.Certificates
) -> None:
    (tmp_path / "elsewhere").mkdir()
    foreign = make_certificates(tmp_path / "elsewhere", NAME)
    async with served(tmp_path, made, mutual=True) as http:
        shown = trusting(made, shown=made)
        assert (await http.send("GET", SERVER, ssl=shown)).status == 200
        with pytest.raises(aiohttp.ClientError):
            await http.send("GET", SERVER, ssl=trusting(made, shown=foreign))
        issue(tmp_path, "client", NAME, days=-1)
        with pytest.raises(aiohttp.ClientError):
            await http.send("GET", SERVER, ssl=trusting(made, shown=made))
        serial = issue(tmp_path, "client", NAME)
        later = trusting(made, shown=made)
        assert (await http.send("GET", SERVER, ssl=later)).status == 200
        revoke(tmp_path, serial)
        async with aiohttp.ClientSession() as other:  # whose connection makes the port read the list again
            assert (await Http(http.faces, other).send("GET", SERVER, ssl=later)).reason == "CERTIFICATE_INVALID"
        assert (await http.send("GET", SERVER, ssl=later)).reason == "CERTIFICATE_INVALID"  # the open connection too


async def test_new_connections_get_changed_certificates_and_unusable_files_change_nothing(
    tmp_path: Path, made: tls.Certificates
) -> None:
    async def status(url: str) -> int:
        async with aiohttp.ClientSession() as anew, anew.get(url, ssl=trusting(made)) as answer:
            return answer.status

    async with served(tmp_path, made) as http:
        url = http.faces.http + "/healthz"
        assert await status(url) == 200
        issue(tmp_path, "server", host="other.example")
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await status(url)
        issue(tmp_path, "server")
        assert await status(url) == 200
        made.server_key.write_text("damaged")
        assert await status(url) == 200


async def test_a_client_that_does_not_finish_its_handshake_counts_and_is_closed(made: tls.Certificates) -> None:
    handshakes = Handshakes(Certificates(TlsFiles(made.server_cert, made.server_key)))
    limits, loop = ConnectionLimits(most=2, head_s=0.05), asyncio.get_running_loop()
    connections = Connections(limits, Metrics())
    inner: Any = asyncio.Protocol
    made_protocol = lambda: CountedProtocol(connections, inner(), handshakes.secure)  # noqa: E731
    server = await loop.create_server(made_protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    async with asyncio.timeout(10):
        for reader, writer in streams:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
    server.close()


async def test_what_a_client_sends_together_with_its_handshake_is_read(tmp_path: Path, made: tls.Certificates) -> None:
    async with served(tmp_path, made) as http:
        port, waiting, sent = int(http.faces.http.rpartition(":")[2]), ssl.MemoryBIO(), ssl.MemoryBIO()
        client = trusting(made).wrap_bio(waiting, sent, server_hostname="localhost")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        shaken = False
        while not shaken:
            try:
                client.do_handshake()
                shaken = True
                client.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            except ssl.SSLWantReadError:
                pass
            writer.write(sent.read())  # the end of the handshake and the request in one piece
            if not shaken:
                waiting.write(await reader.read(1 << 16))
        received = b""
        async with asyncio.timeout(10):
            while b"alive" not in received:
                try:
                    received += client.read()
                except ssl.SSLWantReadError:
                    waiting.write(await reader.read(1 << 16))
        writer.close()
