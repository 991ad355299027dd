"""Access of the operator, at the limits of requests and durations."""

from __future__ import annotations

import pytest

from service.errors import Reason, ServiceError
from service.tenancy import access, keyring, stored_keys
from service.tenancy.access import GRANTABLE, LAPSES_MS, MAX_MINUTES, AccessRequests, WantedAccess
from service.tenancy.apikeys import Scope, key_id_of
from service.tenancy.database import TenancyError
from service.tenancy.keyring import CLOCKS_DIFFER_MS, KeyRing
from service.tenancy.registry import TenantRegistry

SEARCH = frozenset({Scope.SEARCH})
BEGIN_MS = 10**12


class Clock:
    """The clock of access requests and keys."""

    def __init__(self) -> None:
        self.now = BEGIN_MS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (access, keyring, stored_keys):
        monkeypatch.setattr(module, "now_ms", lambda: made.now)
    return made


@pytest.fixture
def requests(registry: TenantRegistry, clock: Clock) -> AccessRequests:
    return registry.access


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (WantedAccess("x", SEARCH, 1), None),
        (WantedAccess("x" * 500, GRANTABLE, MAX_MINUTES), None),
        (WantedAccess("x" * 501, SEARCH, 1), "the reason must"),
        (WantedAccess(" ", SEARCH, 1), "the reason must"),
        (WantedAccess("x", frozenset(), 1), "scopes must be among"),
        (WantedAccess("x", frozenset({Scope.ADMIN}), 1), "scopes must be among"),
        (WantedAccess("x", frozenset({Scope.SEARCH, Scope.ADMIN}), 1), "scopes must be among"),
        (WantedAccess("x", SEARCH, 0), "minutes must be 1 to 240"),
        (WantedAccess("x", SEARCH, 241), "minutes must be 1 to 240"),
    ],
)
def test_what_may_be_asked_for_has_edges(
    requests: AccessRequests, uid: str, wanted: WantedAccess, said: str | None
) -> None:
    if said is None:
        made = requests.ask(uid, wanted)
        assert (made.reason, made.scopes, made.minutes, made.state) == (
            wanted.reason, wanted.scopes, wanted.minutes, "pending",
        )  # fmt: skip
        assert (made.tenant_uid, made.requested_ms, made.decided_ms, made.ends_ms, made.key_id) == (
            uid, BEGIN_MS, 0, 0, "",
        )  # fmt: skip
        return
    with pytest.raises(TenancyError, match=said):
        requests.ask(uid, wanted)
    assert requests.of(uid) == []


def test_a_request_that_nobody_answers_lapses_after_a_week(requests: AccessRequests, uid: str, clock: Clock) -> None:
    made = requests.ask(uid, WantedAccess("ticket", SEARCH, 10))
    clock.now = BEGIN_MS + LAPSES_MS - 1
    assert made.state == "pending"
    clock.now += 1
    assert made.state == "lapsed"
    with pytest.raises(ServiceError, match="lapsed, not pending") as caught:
        requests.decide(uid, made.request_id, approved=True)
    assert caught.value.reason is Reason.ACCESS_NOT_WAITING
    assert LAPSES_MS == 7 * 24 * 3600 * 1000


def test_an_approved_access_ends_to_the_millisecond_and_where_the_clock_was_set_back(
    requests: AccessRequests, registry: TenantRegistry, uid: str, clock: Clock
) -> None:
    made = requests.decide(uid, requests.ask(uid, WantedAccess("ticket", SEARCH, 10)).request_id, approved=True)
    assert (made.state, made.decided_ms, made.ends_ms) == ("approved", BEGIN_MS, BEGIN_MS + 600_000)
    token = requests.token(uid, made.request_id)
    header = f"Bearer {token}"
    principal = registry.api_keys.authenticate(header)
    assert (principal.access_id, principal.actor) == (made.request_id, f"access:{made.request_id}")

    def now(ms: int) -> tuple[str, bool]:
        clock.now = ms
        return made.state, registry.api_keys.lives(uid, key_id_of(token))

    assert now(BEGIN_MS + 599_999) == ("approved", True)
    assert now(BEGIN_MS + 600_000) == ("over", False)
    assert now(BEGIN_MS - CLOCKS_DIFFER_MS) == ("approved", True)
    assert now(BEGIN_MS - CLOCKS_DIFFER_MS - 1) == ("over", False)
    with pytest.raises(ServiceError, match="set back") as caught:
        registry.api_keys.authenticate(header)
    assert caught.value.reason is Reason.KEY_EXPIRED


def test_a_token_is_given_once_and_stops_with_its_access(
    requests: AccessRequests, registry: TenantRegistry, uid: str
) -> None:
    made = requests.ask(uid, WantedAccess("ticket", SEARCH, 10))
    with pytest.raises(ServiceError, match="pending, not approved"):
        requests.token(uid, made.request_id)
    requests.decide(uid, made.request_id, approved=True)
    token = requests.token(uid, made.request_id)
    assert requests.one(uid, made.request_id).key_id == key_id_of(token)
    with pytest.raises(ServiceError, match="already fetched"):
        requests.token(uid, made.request_id)
    requests.revoke(uid, made.request_id)
    assert not registry.api_keys.lives(uid, key_id_of(token))
    assert requests.one(uid, made.request_id).state == "revoked"
    with pytest.raises(ServiceError, match="revoked, not approved"):
        requests.revoke(uid, made.request_id)


def test_an_access_whose_token_was_never_fetched_is_revoked_and_declined_ones_stay_so(
    requests: AccessRequests, uid: str
) -> None:
    first, second = (requests.ask(uid, WantedAccess("ticket", SEARCH, 10)).request_id for _ in range(2))
    requests.decide(uid, first, approved=True)
    assert requests.revoke(uid, first).state == "revoked"
    assert requests.decide(uid, second, approved=False).state == "declined"
    assert [r.request_id for r in requests.of(uid)] == [second, first]
    with pytest.raises(ServiceError, match="declined, not pending"):
        requests.decide(uid, second, approved=True)
    with pytest.raises(ServiceError) as caught:
        requests.one(uid, "nothing")
    assert caught.value.reason is Reason.ACCESS_NOT_FOUND
    assert isinstance(requests._keys, KeyRing)
