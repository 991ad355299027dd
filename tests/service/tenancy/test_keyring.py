"""API keys: expiry, rotation, last use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from index.storage.sqlite import connect, migrate
from service.errors import Reason, ServiceError
from service.tenancy import database, keyring, stored_keys
from service.tenancy.apikeys import Scope, parse_api_key
from service.tenancy.database import TenancyError
from service.tenancy.limits import Limits
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry
from service.tenancy.stored_keys import NewKey

MASTER = MasterKey(bytes(range(32)))
SEARCH = frozenset({Scope.SEARCH})


class Clock:
    """The clock of the keys, in milliseconds since 1970."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000
        for module in (keyring, stored_keys):
            monkeypatch.setattr(module, "now_ms", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def works(registry: TenantRegistry, key: str) -> Reason | None:
    """None if the key is valid, else the reason."""
    try:
        registry.api_keys.authenticate(f"Bearer {key}")
    except ServiceError as error:
        return error.reason
    return None


def id_of(key: str) -> str:
    parsed = parse_api_key(key)
    assert parsed is not None
    return parsed.key_id


def test_a_key_stops_when_its_time_is_over(registry: TenantRegistry, uid: str, clock: Clock) -> None:
    key = registry.api_keys.create(uid, NewKey(SEARCH, expires_ms=clock.now + 10))
    assert works(registry, key) is None
    clock.now += 9
    assert works(registry, key) is None
    clock.now += 1
    assert works(registry, key) is Reason.KEY_EXPIRED
    assert [k.state for k in registry.api_keys.of(uid)] == ["expired"]


def test_a_rotation_leaves_both_keys_for_the_grace_and_then_one(
    registry: TenantRegistry, uid: str, clock: Clock
) -> None:
    old = registry.api_keys.create(uid, NewKey(SEARCH, max_requests_per_s=3))
    new = registry.api_keys.rotate(uid, id_of(old), clock.now + 100)
    assert [works(registry, k) for k in (old, new)] == [None, None]
    clock.now += 100
    assert [works(registry, k) for k in (old, new)] == [Reason.KEY_EXPIRED, None]
    made = registry.api_keys.of(uid)[1]
    assert (made.scopes, made.max_requests_per_s, made.expires_ms) == (SEARCH, 3, None)


def test_a_rotation_never_makes_a_key_last_longer(registry: TenantRegistry, uid: str, clock: Clock) -> None:
    old = registry.api_keys.create(uid, NewKey(SEARCH, expires_ms=clock.now + 10))
    registry.api_keys.rotate(uid, id_of(old), clock.now + 100)
    assert registry.api_keys.of(uid)[0].expires_ms == clock.now + 10


def test_a_key_that_does_not_work_is_not_rotated(registry: TenantRegistry, uid: str) -> None:
    key = registry.api_keys.create(uid, NewKey(SEARCH))
    registry.api_keys.revoke(uid, id_of(key))
    other = registry.create_tenant("other").uid
    for owner, wanted in ((uid, id_of(key)), (other, id_of(key)), (uid, "nokey")):
        with pytest.raises(TenancyError):
            registry.api_keys.rotate(owner, wanted, 5)
    assert len(registry.api_keys.of(uid)) == 1


def test_the_last_use_of_a_key_is_written_down(
    tmp_path: Path, registry: TenantRegistry, uid: str, clock: Clock
) -> None:
    used, unused = (registry.api_keys.create(uid, NewKey(SEARCH)) for _ in range(2))
    clock.now += 5
    works(registry, used)
    works(registry, unused[:-1] + ("0" if unused[-1] != "0" else "1"))
    registry.api_keys.note_uses()
    beside = TenantRegistry(tmp_path / "registry.db", MASTER)
    assert {k.key_id: k.used_ms for k in beside.api_keys.of(uid)} == {id_of(used): clock.now, id_of(unused): None}
    beside.close()


def test_threads_may_use_keys_while_others_are_made_and_uses_written(registry: TenantRegistry, uid: str) -> None:
    key, failed = registry.api_keys.create(uid, NewKey(SEARCH)), []

    def use() -> None:
        for _ in range(200):
            if works(registry, key) is not None:
                failed.append(1)
            registry.api_keys.note_uses()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        registry.api_keys.create(uid, NewKey(SEARCH))
    for thread in threads:
        thread.join()
    assert failed == []


def test_limits_are_seen_by_another_process_at_its_next_call(
    tmp_path: Path, registry: TenantRegistry, uid: str
) -> None:
    beside = TenantRegistry(tmp_path / "registry.db", MASTER)
    assert beside.limits.known(uid) is None
    assert beside.limits.of(uid) == beside.limits.known(uid) == Limits()
    wanted = Limits(1, 2, 3, 4, 5, 6.5)
    registry.limits.set(uid, wanted)
    assert beside.limits.known(uid) is None
    assert beside.limits.of(uid) == beside.limits.known(uid) == wanted
    registry.delete_tenant("acme")
    assert beside.limits.of(uid) == Limits()
    beside.close()


@pytest.mark.parametrize("version", range(1, len(database._MIGRATIONS)))
def test_registries_of_earlier_versions_are_brought_forward(tmp_path: Path, version: int) -> None:
    old = connect(tmp_path / "registry.db", MASTER.derive("tenant registry"))
    migrate(old, database._MIGRATIONS[:version], "the tenant registry")
    old.execute(
        "INSERT INTO tenants (uid, name, wrapped_key, created_ms) VALUES ('u', 'acme', ?, 1)",
        (MASTER.wrap(bytes(32), "u"),),
    )
    old.close()
    opened = TenantRegistry(tmp_path / "registry.db", MASTER)
    assert opened.data_key("u") == bytes(32)
    assert opened.limits.of("u") == Limits()
    key = opened.api_keys.create("u", NewKey(SEARCH))
    assert works(opened, key) is None
    opened.close()


def test_a_key_is_authenticated_while_another_thread_holds_the_database(registry: TenantRegistry, uid: str) -> None:
    key, done = registry.api_keys.create(uid, NewKey(SEARCH)), threading.Event()
    assert works(registry, key) is None

    def authenticate() -> None:
        assert not registry.api_keys.stale()
        registry.api_keys.authenticate_cached(f"Bearer {key}")
        with pytest.raises(ServiceError):
            registry.api_keys.authenticate_cached("", ["a name that nobody has"])
        done.set()

    with registry.api_keys._database.transaction():
        threading.Thread(target=authenticate, daemon=True).start()
        assert done.wait(20)


def test_keys_are_stale_after_each_change_of_another_process_and_not_after_their_uses(
    tmp_path: Path, registry: TenantRegistry, uid: str
) -> None:
    beside = TenantRegistry(tmp_path / "registry.db", MASTER)
    key = registry.api_keys.create(uid, NewKey(SEARCH))
    changes: list[Callable[[], object]] = [
        lambda: beside.api_keys.create(uid, NewKey(SEARCH)),
        lambda: beside.api_keys.bind(uid, "a name", NewKey(SEARCH)),
        lambda: beside.limits.set(uid, Limits(requests_per_s=5.0)),
        lambda: beside.read_audit.set(uid, 5),
        lambda: beside.api_keys.revoke(uid, id_of(key)),
        lambda: beside.delete_tenant("acme"),
    ]
    for change in changes:
        registry.api_keys.refresh()
        registry.api_keys.note_uses()
        works(registry, key)
        registry.api_keys.note_uses()
        assert not registry.api_keys.stale()
        change()
        assert registry.api_keys.stale()
    assert works(registry, key) is Reason.KEY_INVALID  # it was deleted with its tenant
    beside.close()


def test_a_revocation_holds_for_whoever_reads_keys_at_the_same_time(
    tmp_path: Path, registry: TenantRegistry, uid: str
) -> None:
    beside, ended = TenantRegistry(tmp_path / "registry.db", MASTER), threading.Event()

    def read() -> None:
        while not ended.is_set():
            registry.api_keys.refresh()

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        key = beside.api_keys.create(uid, NewKey(SEARCH))
        assert works(registry, key) is None
        beside.api_keys.revoke(uid, id_of(key))
        assert works(registry, key) is Reason.KEY_REVOKED
    ended.set()
    reader.join()
    beside.close()
