"""The registry on two servers: tenants, keys and limits that one changes are changed on the other."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from index import StoreUnavailable, postgres_sharing
from service.errors import ServiceError
from service.tenancy.apikeys import Scope, key_id_of
from service.tenancy.companions import copy_of
from service.tenancy.database import TenancyError
from service.tenancy.limits import Limits
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry
from service.tenancy.stored_keys import NewKey
from tests.index.records.postgresql.servers import until
from tests.support.postgresql.server import PostgresServer

_READS = NewKey(frozenset({Scope.SEARCH}))


@dataclass
class Deployment:
    """Servers with one master key."""

    folder: Path
    url: str
    key: MasterKey

    def opened(self, name: str, *, shared: bool = True) -> TenantRegistry:
        (self.folder / name).mkdir(exist_ok=True)
        sharing = postgres_sharing(self.url) if shared else None
        return TenantRegistry(self.folder / name / "registry.db", self.key, sharing)


@pytest.fixture
def deployment(tmp_path: Path, postgres: PostgresServer) -> Deployment:
    return Deployment(tmp_path, postgres.url, MasterKey(os.urandom(32)))


@pytest.fixture
def pair(deployment: Deployment) -> Iterator[tuple[TenantRegistry, TenantRegistry]]:
    with closing(deployment.opened("one")) as one, closing(deployment.opened("two")) as two:
        for registry in (one, two):
            registry.watch()
        yield one, two


def _accepted(registry: TenantRegistry, key: str) -> bool:
    try:
        return bool(registry.api_keys.authenticate(f"Bearer {key}").tenant_uid)
    except ServiceError:
        return False


def test_a_tenant_and_its_keys_are_known_and_refused_on_the_other_server(
    pair: tuple[TenantRegistry, TenantRegistry],
) -> None:
    one, two = pair
    acme = one.create_tenant("acme", region="eu")
    key = one.api_keys.create(acme.uid, _READS)
    until(lambda: _accepted(two, key))
    assert two.tenant("acme") == acme
    assert two.data_key(acme.uid) == one.data_key(acme.uid)
    assert two.secret("picture links") == one.secret("picture links")
    one.limits.set(acme.uid, Limits(records=7))
    until(lambda: two.limits.of(acme.uid).records == 7)
    two.api_keys.note_uses()
    until(lambda: one.api_keys.of(acme.uid)[0].used_ms is not None)
    with pytest.raises(TenancyError, match="exists"):
        two.create_tenant("acme")
    two.api_keys.revoke(acme.uid, key_id_of(key))
    assert not _accepted(two, key)
    until(lambda: not _accepted(one, key))


def test_a_revocation_reaches_the_other_server_within_two_seconds_though_no_notification_does(
    pair: tuple[TenantRegistry, TenantRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = pair
    acme = one.create_tenant("acme")
    keys = [one.api_keys.create(acme.uid, _READS) for _ in range(2)]
    until(lambda: all(_accepted(two, key) for key in keys))
    monkeypatch.setattr("index.records.postgresql.shared_rows.SharedRows._notify", lambda self, connection: None)
    one.api_keys.revoke(acme.uid, key_id_of(keys[0]))
    begun = time.monotonic()
    until(lambda: not _accepted(two, keys[0]))
    print(f"revoked after {time.monotonic() - begun:.3f} s")
    assert _accepted(two, keys[1])


def test_a_deleted_tenant_leaves_its_key_on_no_server(
    pair: tuple[TenantRegistry, TenantRegistry], deployment: Deployment
) -> None:
    one, two = pair
    acme = one.create_tenant("acme")
    wrapped = one.wrapped_key(acme.uid)
    until(lambda: [t.name for t in two.tenants()] == ["acme"])
    two.note_progress()
    one.delete_tenant("acme")
    until(lambda: two.deleted_uids() == [acme.uid])
    two.note_progress()
    with pytest.raises(TenancyError):
        two.data_key(acme.uid)
    with closing(deployment.opened("two")) as again:
        assert again.deleted_uids() == [acme.uid]
    assert copy_of(deployment.folder / "two" / "registry.db").exists()
    assert wrapped not in b"".join(p.read_bytes() for p in deployment.folder.rglob("registry*"))
    one.create_tenant("acme")  # the name is free, on both
    until(lambda: [t.name for t in two.tenants()] == ["acme"])


def test_a_command_beside_a_server_changes_what_all_servers_have(
    pair: tuple[TenantRegistry, TenantRegistry], deployment: Deployment
) -> None:
    one, two = pair
    acme = one.create_tenant("acme")
    for n in range(3):  # both servers' processes and a command write the same registry in turn
        with closing(deployment.opened("one")) as command:
            key = command.api_keys.create(acme.uid, _READS)
        until(lambda: _accepted(one, key) and _accepted(two, key))  # noqa: B023
        (one, two)[n % 2].api_keys.revoke(acme.uid, key_id_of(key))
        until(lambda: not _accepted(one, key) and not _accepted(two, key))  # noqa: B023
    assert len(one.api_keys.of(acme.uid)) == 3
    assert one.differences() == two.differences() == []


def test_a_registry_that_is_shared_is_not_changed_alone(deployment: Deployment) -> None:
    with closing(deployment.opened("one", shared=False)) as before:
        before.create_tenant("acme")
    with closing(deployment.opened("one")) as one:
        one.create_tenant("bolt")
    with pytest.raises(StoreUnavailable, match="set store_url"):
        deployment.opened("one", shared=False)
    with closing(deployment.opened("one")) as one:
        one.detach()
    with closing(deployment.opened("one", shared=False)) as alone:
        alone.create_tenant("card")
        assert [t.name for t in alone.tenants()] == ["acme", "bolt", "card"]


def test_a_registry_of_another_deployment_is_not_mixed_with_the_shared_one(
    deployment: Deployment, postgres: PostgresServer
) -> None:
    for name in ("one", "two"):  # the same master key, but other secrets
        with closing(deployment.opened(name, shared=False)) as alone:
            alone.create_tenant(name)
    deployment.opened("one").close()
    with pytest.raises(StoreUnavailable, match="for another thing"):
        deployment.opened("two")
    with closing(deployment.opened("two", shared=False)) as untouched:
        assert [t.name for t in untouched.tenants()] == ["two"]
    other = Deployment(deployment.folder / "other", postgres.url, MasterKey(os.urandom(32)))
    other.folder.mkdir()
    with closing(other.opened("one")) as strange:  # another master key: another deployment
        assert strange.tenants() == []


def test_without_postgresql_keys_are_accepted_and_nothing_is_changed(
    pair: tuple[TenantRegistry, TenantRegistry], deployment: Deployment, postgres: PostgresServer
) -> None:
    one, two = pair
    acme = one.create_tenant("acme")
    key = one.api_keys.create(acme.uid, _READS)
    until(lambda: _accepted(two, key))
    postgres.kill()
    try:
        with pytest.raises(StoreUnavailable):
            one.api_keys.revoke(acme.uid, key_id_of(key))
        with closing(deployment.opened("two")) as again:
            assert [_accepted(registry, key) for registry in (one, two, again)] == [True] * 3
        two.api_keys.note_uses()
    finally:
        postgres.start()
    two.api_keys.note_uses()
    one.api_keys.revoke(acme.uid, key_id_of(key))
    until(lambda: not _accepted(two, key))
    assert one.api_keys.of(acme.uid)[0].used_ms is not None


def test_postgresql_has_no_name_of_a_tenant_and_no_key(
    pair: tuple[TenantRegistry, TenantRegistry], postgres: PostgresServer
) -> None:
    one, _ = pair
    acme = one.create_tenant("canary-tenant-7f3a")
    key = one.api_keys.create(acme.uid, _READS)
    dump = postgres.dump()
    told = ["canary-tenant-7f3a", acme.uid, key_id_of(key), key.rpartition("_")[2]]
    for secret in (*(text.encode() for text in told), one.wrapped_key(acme.uid), one.data_key(acme.uid)):
        assert secret not in dump
        assert secret.hex().encode() not in dump
