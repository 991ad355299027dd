"""Client certificates as identities: a name bound to a tenant needs no API key."""

from __future__ import annotations

import json
import signal
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from afterimage.client import Client, PermissionDenied, Unauthenticated, Unavailable
from service.tenancy.apikeys import Scope
from service.tenancy.database import TenancyError
from service.tenancy.stored_keys import NewKey
from tests.support.servers.server import NO_RETRY, Server, share, start_server
from tests.support.servers.tls import Certificates, issue, make_certificates, revoke

NAME = "spiffe://shop.example/search"
SEARCH = NewKey(frozenset({Scope.SEARCH}))


OTHER = "spiffe://shop.example/other"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def made(folder: Path) -> Certificates:
    return make_certificates(folder, NAME, OTHER)


@pytest.fixture(scope="module")
def serving(folder: Path, made: Certificates) -> Iterator[Server]:
    server = share(start_server(
        folder, "--tls-cert", str(made.server_cert), "--tls-key", str(made.server_key),
        "--client-ca", str(made.ca), "--metrics", "127.0.0.1:0",
        environment={"AFTERIMAGE_CLIENT_CRL": str(revoke(folder)), "AFTERIMAGE_HTTP_TLS": "true"},
    ))  # fmt: skip
    yield server
    assert server.stop() == 0


@pytest.fixture
def certificates(folder: Path, made: Certificates) -> Certificates:
    """Good ones, whatever tests before have made of the files."""
    issue(folder, "server")
    issue(folder, "client", NAME, OTHER)
    revoke(folder)
    return made


@pytest.fixture
def mutual(serving: Server, certificates: Certificates) -> Iterator[Server]:
    """Without tenants. One server for all tests."""
    yield serving
    with serving.registry() as registry:
        for tenant in registry.tenants():
            registry.delete_tenant(tenant.name)


def connect(server: Server, certificates: Certificates, key: str = "") -> Client:
    return Client(
        server.target, key, ca=certificates.ca.read_bytes(), client_cert=certificates.client_cert.read_bytes(),
        client_key=certificates.client_key.read_bytes(), retry=NO_RETRY,
    )  # fmt: skip


def test_a_bound_name_acts_for_its_tenant_with_its_scopes_until_it_is_revoked(
    mutual: Server, certificates: Certificates
) -> None:
    key = mutual.key("acme")
    mutual.key("other")
    with connect(mutual, certificates, key) as client:
        client.create_collection("c")
    with connect(mutual, certificates) as client:
        with pytest.raises(Unauthenticated, match="bound to a tenant") as caught:
            client.count_records("c")
        assert caught.value.reason == "KEY_MISSING"
        with mutual.registry() as registry:
            uid = registry.tenant("acme").uid
            key_id = registry.api_keys.bind(uid, NAME, SEARCH)
            with pytest.raises(TenancyError, match="already bound"):
                registry.api_keys.bind(registry.tenant("other").uid, NAME, SEARCH)
        assert client.count_records("c") == 0
        with pytest.raises(PermissionDenied):
            client.create_collection("d")
        with mutual.registry() as registry:
            assert [k.identity for k in registry.api_keys.of(uid) if k.key_id == key_id] == [NAME]
            registry.api_keys.revoke(uid, key_id)
        with pytest.raises(Unauthenticated) as caught:
            client.count_records("c")
        assert caught.value.reason == "KEY_REVOKED"
        with mutual.registry() as registry:
            registry.api_keys.bind(uid, NAME, SEARCH)
        assert client.count_records("c") == 0


def test_names_of_two_keys_in_one_certificate_are_refused_and_a_key_that_is_sent_wins(
    mutual: Server, certificates: Certificates
) -> None:
    with mutual.registry() as registry:
        for tenant, name in (("acme", NAME), ("other", "spiffe://shop.example/other")):
            registry.api_keys.bind(registry.create_tenant(tenant).uid, name, SEARCH)
    with connect(mutual, certificates) as client, pytest.raises(Unauthenticated, match="several keys"):
        client.list_collections_page()
    with connect(mutual, certificates, mutual.key("third")) as client:
        assert client.list_collections_page() == ([], "")


def fetched(url: str, certificates: Certificates, *, shown: bool = True, key: str = "") -> int:
    """The status of a request over HTTP."""
    context = None
    if url.startswith("https"):
        context = ssl.create_default_context(cafile=str(certificates.ca))
        if shown:
            context.load_cert_chain(certificates.client_cert, certificates.client_key)
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_http_has_the_certificates_of_grpc_and_metrics_have_a_plain_port(
    mutual: Server, certificates: Certificates, folder: Path
) -> None:
    key, api = mutual.key("acme"), f"https://{mutual.http}"
    assert fetched(f"{api}/v1/collections", certificates, key=key) == 200
    assert fetched(f"{api}/v1/collections", certificates, key=key, shown=False) == 401
    assert fetched(f"{api}/readyz", certificates, shown=False) == 200
    assert fetched(f"{api}/metrics", certificates) == 404
    (ready,) = [line for line in map(json.loads, mutual.log.read_text().splitlines()) if line["event"] == "ready"]
    for path, status in (("metrics", 200), ("healthz", 200), ("readyz", 200), ("v1/collections", 404)):
        assert fetched(f"http://{ready['metrics']}/{path}", certificates, key=key) == status
    certificates.server_cert.write_text("damaged")
    mutual.process.send_signal(signal.SIGHUP)
    assert fetched(f"{api}/v1/collections", certificates, key=key) == 200
    issue(folder, "server", host="other.example")
    with pytest.raises(urllib.error.URLError, match="certificate"):
        fetched(f"{api}/v1/collections", certificates, key=key)


def test_a_deleted_tenant_takes_its_names_along(mutual: Server, certificates: Certificates) -> None:
    with mutual.registry() as registry:
        registry.api_keys.bind(registry.create_tenant("acme").uid, NAME, SEARCH)
        registry.delete_tenant("acme")
    with connect(mutual, certificates) as client, pytest.raises(Unauthenticated):
        client.list_collections_page()
    with mutual.registry() as registry:
        registry.api_keys.bind(registry.create_tenant("acme").uid, NAME, SEARCH)
    with connect(mutual, certificates) as client:
        assert client.list_collections_page() == ([], "")


def test_without_mutual_tls_no_name_is_believed(server: Server) -> None:
    with server.client("") as client, pytest.raises(Unauthenticated, match="authorization"):
        client.list_collections_page()


def refused(server: Server, certificates: Certificates, key: str) -> None:
    """The connection fails, so that no key is sent."""
    with connect(server, certificates, key) as client, pytest.raises(Unavailable):
        client.server_info()


def test_expired_foreign_and_revoked_client_certificates_are_refused(
    mutual: Server, certificates: Certificates, folder: Path
) -> None:
    key = mutual.key("acme")
    with connect(mutual, certificates, key) as client:
        assert client.server_info()
    issue(folder, "client", NAME, days=-1)
    refused(mutual, certificates, key)
    (folder / "elsewhere").mkdir()
    foreign = make_certificates(folder / "elsewhere", NAME)
    refused(mutual, replace(foreign, ca=certificates.ca), key)
    serial = issue(folder, "client", NAME)
    with connect(mutual, certificates, key) as client:
        assert client.server_info()
        revoke(folder, serial)
        with connect(mutual, certificates, key) as later, pytest.raises(Unauthenticated) as caught:
            later.server_info()
        assert caught.value.reason == "CERTIFICATE_INVALID"
        with pytest.raises(Unauthenticated, match="revoked"):  # the open connection too
            client.server_info()
    issue(folder, "client", NAME)
    with connect(mutual, certificates, key) as client:
        assert client.server_info()


def test_new_certificates_are_served_without_a_restart_and_what_cannot_be_used_is_left_alone(
    mutual: Server, certificates: Certificates, folder: Path
) -> None:
    key, logged = mutual.key("acme"), len(mutual.log.read_text())
    with connect(mutual, certificates, key) as open_one:
        assert open_one.server_info()
        issue(folder, "server", host="other.example")
        refused(mutual, certificates, key)  # the client does not speak to another host
        certificates.server_key.write_text("damaged")
        mutual.process.send_signal(signal.SIGHUP)
        issue(folder, "server")
        mutual.process.send_signal(signal.SIGHUP)
        with connect(mutual, certificates, key) as client:
            assert client.server_info()
        assert open_one.server_info()
        certificates.server_cert.write_text("damaged")
        with connect(mutual, certificates, key) as client:
            assert client.server_info()
    assert "unusable" in mutual.log.read_text()[logged:]
