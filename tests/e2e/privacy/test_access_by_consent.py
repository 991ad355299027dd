"""Access of the operator: requested, granted or declined by the tenant, audited, and limited in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from afterimage.client import (
    Client,
    FailedPrecondition,
    NewRecord,
    NotFound,
    PermissionDenied,
    Unauthenticated,
)
from service.tenancy import access as module
from service.tenancy import keyring, stored_keys
from service.tenancy.access import LAPSES_MS, AccessRequests, WantedAccess
from service.tenancy.apikeys import Scope
from service.tenancy.database import TenancyError
from service.tenancy.registry import TenantRegistry
from tests.support.data.pictures import png
from tests.support.servers.server import Server
from tests.support.servers.shell import Shell


@pytest.fixture
def shell(server: Server, tenant_name: str, tmp_path: Path) -> Shell:
    return Shell(server, tenant_name, tmp_path)


@pytest.fixture
def stocked(client: Client) -> Client:
    client.create_collection("c")
    client.insert("c", [NewRecord("1", image=png(1))])
    return client


def asked(shell: Shell, tenant: str, *options: str) -> str:
    made = shell.json("access", "request", tenant, "--reason", "ticket 4711", *options, *shell.data)
    assert made["state"] == "pending"
    return made["request_id"]


def test_an_operator_is_let_in_by_the_tenant_watched_and_sent_out(
    server: Server, stocked: Client, shell: Shell, tenant_name: str
) -> None:
    request = asked(shell, tenant_name, "--minutes", "30")
    assert shell.json("access", "token", tenant_name, request, *shell.data, code=1)["error"]["reason"] == (
        "ACCESS_NOT_WAITING"
    )
    listed = shell.json("access", "list")["requests"][0]
    assert (listed["reason"], listed["scopes"], listed["minutes"]) == ("ticket 4711", ["search"], 30)
    assert "until" in shell.run("access", "approve", request)
    token = shell.json("access", "token", tenant_name, request, *shell.data)["api_key"]
    assert shell.json("access", "token", tenant_name, request, *shell.data, code=1)["error"]  # it is shown once
    with server.client(token) as operator:
        assert operator.get_records("c", ["1"])[0][0].record_id == "1"
        operator.search("c", png(1))
        with pytest.raises(PermissionDenied):
            operator.search("c", png(1), include_vectors=True)
        with pytest.raises(PermissionDenied):
            operator.approve_access(request)
        assert stocked.revoke_access(request).state == "revoked"
        with pytest.raises(Unauthenticated) as caught:
            operator.search("c", png(1))
        assert caught.value.reason == "KEY_REVOKED"
    told = [(e.actor, e.action, e.details.get("method")) for e in stocked.list_audit_entries() if "access" in e.action]
    assert told == [
        ("operator", "access.request", None),
        (f"key:{shell.environment['AFTERIMAGE_API_KEY'].split('_')[2]}", "access.approve", None),
        ("operator", "access.token", None),
        (f"access:{request}", "access.use", "RecordService/GetRecords"),
        (f"access:{request}", "access.use", "SearchService/Search"),
        (f"access:{request}", "access.use", "SearchService/Search"),
        (f"key:{stocked._endpoint.api_key.split('_')[2]}", "access.revoke", None),
    ]


def test_what_was_declined_or_is_anothers_cannot_be_had(
    server: Server, stocked: Client, shell: Shell, tenant_name: str
) -> None:
    request = asked(shell, tenant_name)
    with server.client(server.key("nosy")) as stranger:
        assert stranger.list_access_requests() == []
        for answer in (stranger.approve_access, stranger.decline_access, stranger.revoke_access):
            with pytest.raises(NotFound):
                answer(request)
    assert stocked.decline_access(request).state == "declined"
    with pytest.raises(FailedPrecondition):
        stocked.approve_access(request)
    assert shell.json("access", "token", tenant_name, request, *shell.data, code=1)["error"]


def test_an_admin_key_by_itself_reads_no_record(server: Server, stocked: Client, tenant_name: str) -> None:
    with server.client(server.key(tenant_name, [Scope.ADMIN])) as admin:
        for attempt in (
            lambda: admin.search("c", png(1)), lambda: admin.get_records("c", ["1"]), lambda: admin.count_records("c"),
            lambda: admin.list_records_page("c"), lambda: list(admin.find_duplicates("c")),
            lambda: admin.encode([png(1)]),
        ):  # fmt: skip
            with pytest.raises(PermissionDenied):
                attempt()


Requests = tuple[AccessRequests, str, TenantRegistry]


@pytest.fixture
def requests(server: Server, tenant_name: str) -> Iterator[Requests]:
    with server.registry() as registry:
        yield registry.access, registry.create_tenant(tenant_name).uid, registry


def test_an_access_ends_by_itself_and_lasts_four_hours_at_most(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    access, uid, registry = requests
    assert isinstance(access, AccessRequests)
    clock = [1_000_000]
    monkeypatch.setattr(module, "now_ms", lambda: clock[0])
    for keys in (keyring, stored_keys):
        monkeypatch.setattr(keys, "now_ms", lambda: clock[0])
    request = access.ask(uid, WantedAccess("why", frozenset({Scope.SEARCH}), 240))
    access.decide(uid, request.request_id, approved=True)
    clock[0] += 3_600_000  # the time runs from the approval, not from when the token is fetched
    token = access.token(uid, request.request_id)
    clock[0] += 3 * 3_600_000 - 1
    registry.api_keys.authenticate(f"Bearer {token}")
    clock[0] += 1
    with pytest.raises(Exception, match="expired"):
        registry.api_keys.authenticate(f"Bearer {token}")
    assert access.one(uid, request.request_id).state == "over"
    waiting = access.ask(uid, WantedAccess("why", frozenset({Scope.SEARCH}), 5))
    clock[0] += LAPSES_MS
    with pytest.raises(Exception, match="lapsed"):
        access.decide(uid, waiting.request_id, approved=True)


@pytest.mark.parametrize(
    "wanted",
    [
        WantedAccess("", frozenset({Scope.SEARCH}), 5),
        WantedAccess("why", frozenset(), 5),
        WantedAccess("why", frozenset({Scope.ADMIN}), 5),
        WantedAccess("why", frozenset({Scope.SEARCH}), 0),
        WantedAccess("why", frozenset({Scope.SEARCH}), 241),
    ],
)
def test_what_could_never_be_granted_cannot_be_asked_for(requests: Requests, wanted: WantedAccess) -> None:
    access, uid, _ = requests
    with pytest.raises(TenancyError):
        access.ask(uid, wanted)
    assert access.of(uid) == []
