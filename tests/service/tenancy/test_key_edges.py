"""Keys at their edges: defaults, clocks that differ, names and ids that are quoted, rotation of one of many."""

from __future__ import annotations

from contextlib import closing
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from service.errors import Reason, ServiceError
from service.tenancy import keyring, stored_keys
from service.tenancy.access import AccessRequest, WantedAccess
from service.tenancy.apikeys import ApiKey, Scope, key_id_of
from service.tenancy.database import TenancyError
from service.tenancy.keyring import CLOCKS_DIFFER_MS, KeyRing, Principal
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import Tenant, TenantRegistry
from service.tenancy.stored_keys import KeyInfo, NewKey

MASTER = MasterKey(bytes(range(32)))
SEARCH = frozenset({Scope.SEARCH})
BEGIN_MS = 10**12


class Clock:
    """The clock of the keys, in milliseconds since 1970."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = BEGIN_MS
        for module in (keyring, stored_keys):
            monkeypatch.setattr(module, "now_ms", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def keys(registry: TenantRegistry) -> KeyRing:
    return registry.api_keys


def refusal(keys: KeyRing, header: str | None, names: tuple[str, ...] = ()) -> Reason | None:
    try:
        keys.authenticate(header, names)
    except ServiceError as error:
        return error.reason
    return None


# ---- what is not said


def test_a_key_has_no_limits_of_its_own_unless_they_are_said(keys: KeyRing, uid: str, clock: Clock) -> None:
    key = keys.create(uid, NewKey(SEARCH))
    (made,) = keys.of(uid)
    assert (made.expires_ms, made.max_requests_per_s, made.revoked_ms, made.used_ms) == (None, 0.0, None, None)
    assert (made.created_ms, made.identity, made.state, made.scopes) == (BEGIN_MS, "", "live", SEARCH)
    caller = keys.authenticate(f"Bearer {key}")
    assert caller == Principal(uid, key_id_of(key), SEARCH)
    assert (caller.max_requests_per_s, caller.key_requests_per_s, caller.reads_told_every_minutes) == (0.0, 0.0, 0)
    assert (caller.access_id, caller.region, caller.actor) == ("", "", f"key:{key_id_of(key)}")


def test_a_caller_has_what_tenant_and_key_say(registry: TenantRegistry, keys: KeyRing) -> None:
    tenant = registry.create_tenant("north", "eu")
    registry.read_audit.set(tenant.uid, 7)
    key = keys.create(tenant.uid, NewKey(frozenset({Scope.INSERT, Scope.DELETE}), None, 2.5, "request"))
    caller = keys.authenticate(f"Bearer {key}")
    assert caller == Principal(
        tenant.uid, key_id_of(key), frozenset({Scope.INSERT, Scope.DELETE}), 0.0, 2.5, "request", "eu", 7
    )
    assert caller.actor == "access:request"


@pytest.mark.parametrize("scope", Scope)
def test_a_call_needs_its_own_scope(scope: Scope) -> None:
    Principal("u", "k", frozenset({scope})).require(scope)
    Principal("u", "k", frozenset(Scope)).require(scope)
    for held in (frozenset(Scope) - {scope}, frozenset[Scope]()):
        with pytest.raises(ServiceError, match=f"requires the scope `{scope.value}`") as caught:
            Principal("u", "k", held).require(scope)
        assert caught.value.reason is Reason.SCOPE_MISSING


# ---- clocks


def test_an_access_from_the_future_is_refused_and_clocks_may_differ_by_a_minute(
    keys: KeyRing, uid: str, clock: Clock
) -> None:
    assert CLOCKS_DIFFER_MS == 60_000
    access, usual = keys.create(uid, NewKey(SEARCH, access_id="request")), keys.create(uid, NewKey(SEARCH))
    for back, refused in ((0, None), (59_999, None), (60_000, None), (60_001, Reason.KEY_EXPIRED)):
        clock.now = BEGIN_MS - back
        assert refusal(keys, f"Bearer {access}") is refused
        assert refusal(keys, f"Bearer {usual}") is None
        assert keys.lives(uid, key_id_of(access)) is (refused is None)


def test_a_key_is_over_at_its_time(keys: KeyRing, uid: str, clock: Clock) -> None:
    key = keys.create(uid, NewKey(SEARCH, BEGIN_MS + 5))
    for passed, state in ((4, "live"), (5, "expired"), (6, "expired")):
        clock.now = BEGIN_MS + passed
        assert keys.of(uid)[0].state == state
        assert keys.lives(uid, key_id_of(key)) is (state == "live")
        assert refusal(keys, f"Bearer {key}") is (None if state == "live" else Reason.KEY_EXPIRED)
    keys.revoke(uid, key_id_of(key))
    assert (keys.of(uid)[0].state, keys.of(uid)[0].revoked_ms) == ("revoked", BEGIN_MS + 6)
    clock.now += 1
    keys.revoke(uid, key_id_of(key))  # once more
    assert keys.of(uid)[0].revoked_ms == BEGIN_MS + 6
    assert refusal(keys, f"Bearer {key}") is Reason.KEY_REVOKED


# ---- one of many


def test_each_of_many_keys_is_rotated_and_revoked_by_itself(keys: KeyRing, uid: str, clock: Clock) -> None:
    made = [keys.create(uid, NewKey(SEARCH, max_requests_per_s=float(n))) for n in range(1, 8)]
    for number, key in enumerate(made, 1):
        new = keys.rotate(uid, key_id_of(key), BEGIN_MS + number)
        by_id = {k.key_id: k for k in keys.of(uid)}
        assert by_id[key_id_of(key)].expires_ms == BEGIN_MS + number
        assert (by_id[key_id_of(new)].max_requests_per_s, by_id[key_id_of(new)].expires_ms) == (float(number), None)
        assert [by_id[key_id_of(k)].expires_ms for k in made[number:]] == [None] * (7 - number)
    keys.revoke(uid, key_id_of(made[3]))
    assert [k.key_id for k in keys.of(uid) if k.state == "revoked"] == [key_id_of(made[3])]
    assert len(keys.of(uid)) == 14


def test_what_cannot_be_rotated_is_reported_with_its_state(keys: KeyRing, uid: str, clock: Clock) -> None:
    over, revoked = keys.create(uid, NewKey(SEARCH, BEGIN_MS)), keys.create(uid, NewKey(SEARCH))
    keys.revoke(uid, key_id_of(revoked))
    for key_id, said in (
        (key_id_of(over), "is expired"), (key_id_of(revoked), "is revoked"), ("", "is not one of this tenant"),
        ("zzz", "is not one of this tenant"), ("0", "is not one of this tenant"),
    ):  # fmt: skip
        with pytest.raises(TenancyError, match=f"^key {key_id!r} {said}$"):
            keys.rotate(uid, key_id, BEGIN_MS + 5)
    assert len(keys.of(uid)) == 2


def test_long_names_are_quoted_up_to_eighty_characters(registry: TenantRegistry, keys: KeyRing, uid: str) -> None:
    for refused in (
        lambda: keys.rotate(uid, "x" * 100, 5),
        lambda: keys.revoke(uid, "x" * 100),
        lambda: keys.bind(uid, "x" * 100 + " ", NewKey(SEARCH)),
        lambda: registry.create_tenant("x" * 100),
        lambda: registry.access.one(uid, "x" * 100),
    ):
        with pytest.raises((TenancyError, ServiceError)) as caught:
            refused()
        text = str(getattr(caught.value, "message", caught.value))
        assert f"'{'x' * 80}'" in text


# ---- headers and certificates


def test_a_header_is_a_scheme_and_a_key(keys: KeyRing, uid: str) -> None:
    key = keys.create(uid, NewKey(SEARCH))
    for header in (f"Bearer {key}", f"bearer {key}", f"BEARER  {key} "):
        assert refusal(keys, header) is None
    for header in (key, f"Basic {key}", f"Bearer{key}", f"Bearer x {key}", "Bearer", "Bearer ", f"Bearer {key[:-1]}"):
        assert refusal(keys, header) is Reason.KEY_INVALID
    assert refusal(keys, None) is refusal(keys, "") is Reason.KEY_MISSING
    keys.bind(uid, "name", NewKey(SEARCH))
    assert refusal(keys, None, ("name",)) is None
    assert refusal(keys, "Basic x", ("name",)) is Reason.KEY_INVALID  # a header comes first


def test_a_header_that_was_right_is_remembered_by_a_digest_until_the_keys_are_read_again(
    keys: KeyRing, uid: str, clock: Clock
) -> None:
    key, other = keys.create(uid, NewKey(SEARCH, BEGIN_MS + 5)), keys.create(uid, NewKey(SEARCH))
    wrong = f"Bearer {key[:-9]}{'A' if key[-10] != 'A' else 'B'}"
    for _ in range(2):
        assert refusal(keys, f"Bearer {key}") is None
        assert refusal(keys, f"bearer {other}") is None
        assert refusal(keys, wrong) is Reason.KEY_INVALID
        assert refusal(keys, f"Bearer {key}\ud800") is Reason.KEY_INVALID  # half a character, as a client may send
    known = keys._loaded.headers
    assert sorted(known.values()) == sorted([key_id_of(key), key_id_of(other)])
    assert not [d for d in known if key.encode() in d or key.split("_")[3].encode() in d]
    clock.now += 5
    assert refusal(keys, f"Bearer {key}") is Reason.KEY_EXPIRED  # judged at each call
    keys.revoke(uid, key_id_of(other))
    assert refusal(keys, f"bearer {other}") is Reason.KEY_REVOKED
    assert keys._loaded.headers is not known


def test_headers_are_remembered_up_to_a_number(keys: KeyRing, uid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "_MOST_HEADERS", 3)
    key = keys.create(uid, NewKey(SEARCH))
    for spaces in range(1, 9):
        assert refusal(keys, f"Bearer{' ' * spaces}{key}") is None
        assert len(keys._loaded.headers) <= 3


def test_names_of_a_certificate_stand_for_one_key(keys: KeyRing, uid: str, clock: Clock) -> None:
    first, second = keys.bind(uid, "one", NewKey(SEARCH)), keys.bind(uid, "two", NewKey(SEARCH, BEGIN_MS + 1))
    assert keys.authenticate(None, ("none", "one", "other")).key_id == first
    assert keys.authenticate("", ("two", "two")).key_id == second
    assert refusal(keys, None, ("one", "two")) is Reason.KEY_INVALID
    assert refusal(keys, None, ("none",)) is Reason.KEY_MISSING
    clock.now += 1
    assert refusal(keys, None, ("two",)) is Reason.KEY_EXPIRED
    assert {k.key_id: k.identity for k in keys.of(uid)} == {first: "one", second: "two"}
    for name in ("", " one", "one ", "o\tne", "o\nne"):
        with pytest.raises(TenancyError, match="is not a valid name"):
            keys.bind(uid, name, NewKey(SEARCH))
    with pytest.raises(TenancyError, match=f"'one' is already bound to key {first}"):
        keys.bind(uid, "one", NewKey(SEARCH))
    keys.revoke(uid, first)
    assert keys.bind(uid, "one", NewKey(SEARCH)) != first
    with pytest.raises(TenancyError, match="at least one scope"):
        keys.create(uid, NewKey(frozenset()))


def test_names_of_a_deleted_tenant_do_not_count_beside_those_of_another(registry: TenantRegistry, uid: str) -> None:
    keys, gone = registry.api_keys, registry.create_tenant("gone").uid
    keys.bind(gone, "theirs", NewKey(SEARCH))
    ours = keys.bind(uid, "ours", NewKey(SEARCH))
    assert refusal(keys, None, ("ours", "theirs")) is Reason.KEY_INVALID
    registry.delete_tenant("gone")
    assert keys.authenticate(None, ("ours", "theirs")).key_id == ours
    assert registry._database.rows("SELECT identity FROM identities") == [("ours",)]
    registry._database.change("INSERT INTO identities VALUES ('left', 'no key')")  # as earlier versions left it
    assert keys.authenticate(None, ("left", "ours")).key_id == ours
    assert refusal(keys, None, ("left", "none")) is Reason.KEY_INVALID


def test_keys_are_read_before_the_first_call_and_only_after_changes(keys: KeyRing, uid: str) -> None:
    fresh = KeyRing(keys._database, keys._pepper)
    assert fresh.stale()
    key = keys.create(uid, NewKey(SEARCH))
    with pytest.raises(ServiceError):
        fresh.authenticate_cached(f"Bearer {key}")
    fresh.refresh()
    assert fresh.authenticate_cached(f"Bearer {key}").key_id == key_id_of(key)
    assert not fresh.stale()
    known = fresh._loaded
    fresh.refresh()
    assert fresh._loaded is known
    assert fresh.lives(uid, key_id_of(key))
    assert not fresh.lives("other", key_id_of(key))
    assert not fresh.lives(uid, "other")


def test_the_last_use_is_stored_once(keys: KeyRing, uid: str, clock: Clock) -> None:
    key, other = keys.create(uid, NewKey(SEARCH)), keys.create(uid, NewKey(SEARCH))
    keys.note_uses()
    assert [k.used_ms for k in keys.of(uid)] == [None, None]
    clock.now += 60_000
    keys.authenticate(f"Bearer {key}")
    keys.note_uses()
    assert {k.key_id: k.used_ms for k in keys.of(uid)} == {key_id_of(key): clock.now, key_id_of(other): None}
    assert keys._used == {}


# ---- the registry


def test_keys_of_an_older_registry_work_on_and_a_new_one_has_a_secret_of_its_own(tmp_path: Path) -> None:
    path, derived = tmp_path / "registry.db", MASTER.derive("api key digests")
    with closing(TenantRegistry(path, MASTER)) as registry:
        assert registry.api_keys._pepper != derived
        uid = registry.create_tenant("acme").uid
        registry._database.change("DELETE FROM secrets")
        key = KeyRing(registry._database, derived).create(uid, NewKey(SEARCH))
    for _ in range(2):
        with closing(TenantRegistry(path, MASTER)) as registry:
            assert registry.api_keys._pepper == derived
            assert refusal(registry.api_keys, f"Bearer {key}") is None


@pytest.mark.parametrize(
    "value",
    [
        NewKey(SEARCH), KeyInfo("k", SEARCH, 1, None, None, 0.0, None), Principal("u", "k", SEARCH),
        WantedAccess("reason", SEARCH, 5), AccessRequest("r", "u", "reason", SEARCH, 5, "pending", 1, 0, ""),
        Tenant("u", "acme", 1), ApiKey("k", "secret"),
    ],
)  # fmt: skip
def test_what_is_handed_to_many_threads_never_changes(value: Any) -> None:
    name = next(iter(vars(value)))
    with pytest.raises(FrozenInstanceError):
        setattr(value, name, "other")
