"""Every operation on a tenant's objects with the ids of another tenant: nothing is found, and nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from index import DataDirectory, Quota
from service.audit.logs import AuditLogs
from service.errors import Reason, ServiceError
from service.runtime.clock import now_ms
from service.sync.ledgers import Ledgers
from service.tenancy.access import WantedAccess
from service.tenancy.apikeys import Scope, key_id_of
from service.tenancy.database import TenancyError
from service.tenancy.limits import Limits
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry
from service.tenancy.stored_keys import NewKey
from service.training.stores import TrainingStores

LATER_MS = now_ms() + 3_600_000


@dataclass
class Two:
    """A tenant that makes attempts, and another one with its key, its bound certificate, and its access requests."""

    registry: TenantRegistry
    mine: str
    theirs: str
    key: str
    waiting: str
    granted: str

    def state(self) -> tuple[Any, ...]:
        """Everything visible of the other tenant."""
        keys = [(k.key_id, k.state, k.expires_ms, k.identity) for k in self.registry.api_keys.of(self.theirs)]
        requests = [(r.request_id, r.stored_state, r.key_id) for r in self.registry.access.of(self.theirs)]
        hosts, limits = self.registry.fetch_hosts(self.theirs), self.registry.limits.of(self.theirs)
        return keys, requests, hosts, limits, [t.name for t in self.registry.tenants()]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    registry = TenantRegistry(tmp_path / "registry.db", MasterKey(bytes(32)))
    mine, theirs = registry.create_tenant("mine").uid, registry.create_tenant("theirs").uid
    key = registry.api_keys.create(theirs, NewKey(frozenset({Scope.SEARCH})))
    registry.api_keys.bind(theirs, "spiffe://theirs", NewKey(frozenset({Scope.SEARCH})))
    wanted = WantedAccess("ticket", frozenset({Scope.SEARCH}), 10)
    waiting, granted = (registry.access.ask(theirs, wanted).request_id for _ in range(2))
    registry.access.decide(theirs, granted, approved=True)
    yield Two(registry, mine, theirs, key, waiting, granted)
    registry.close()


TRIED: dict[str, Callable[[Two], object]] = {
    "revoke a key": lambda t: t.registry.api_keys.revoke(t.mine, key_id_of(t.key)),
    "rotate a key": lambda t: t.registry.api_keys.rotate(t.mine, key_id_of(t.key), LATER_MS),
    "take a certificate": lambda t: t.registry.api_keys.bind(
        t.mine, "spiffe://theirs", NewKey(frozenset({Scope.SEARCH}))
    ),
    "look at an access": lambda t: t.registry.access.one(t.mine, t.waiting),
    "approve an access": lambda t: t.registry.access.decide(t.mine, t.waiting, approved=True),
    "decline an access": lambda t: t.registry.access.decide(t.mine, t.waiting, approved=False),
    "revoke an access": lambda t: t.registry.access.revoke(t.mine, t.granted),
    "fetch a token": lambda t: t.registry.access.token(t.mine, t.granted),
}


@pytest.mark.parametrize("name", TRIED)
def test_with_another_tenants_id_nothing_is_found_and_nothing_changes(two: Two, name: str) -> None:
    before = two.state()
    with pytest.raises((TenancyError, ServiceError)) as caught:
        TRIED[name](two)
    if isinstance(caught.value, ServiceError):
        assert caught.value.reason is Reason.ACCESS_NOT_FOUND
    assert two.state() == before
    assert two.registry.api_keys.authenticate(f"Bearer {two.key}").tenant_uid == two.theirs


def test_what_is_done_to_one_tenant_leaves_the_other_as_it_was(two: Two) -> None:
    before, registry = two.state(), two.registry
    own = registry.api_keys.create(two.mine, NewKey(frozenset({Scope.SEARCH})))
    registry.limits.set(two.mine, Limits(records=1))
    registry.set_fetch_hosts("mine", ["cdn.mine.example"])
    registry.api_keys.revoke(two.mine, key_id_of(own))
    assert two.state() == before
    assert registry.limits.of(two.mine).quota == Quota(1, 0, 0)
    registry.delete_tenant("mine")
    keys, requests, hosts, limits, _ = before
    assert two.state() == (keys, requests, hosts, limits, ["theirs"])
    with pytest.raises(TenancyError):
        registry.data_key(two.mine)
    assert len(registry.data_key(two.theirs)) == 32


def test_a_key_lives_for_its_own_tenant_alone(two: Two) -> None:
    key_id = key_id_of(two.key)
    assert two.registry.api_keys.lives(two.theirs, key_id)
    assert not two.registry.api_keys.lives(two.mine, key_id)
    assert [k.key_id for k in two.registry.api_keys.of(two.mine)] == []


def test_logs_ledgers_and_training_are_each_tenants_own(two: Two, tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    audit, ledgers = AuditLogs(data, two.registry), Ledgers(data, two.registry, None, 1)
    stores = TrainingStores(data, two.registry)
    act = audit.of(two.theirs).begin("key:a", "collection.delete", {"collection": "c"}, "server:1")
    assert not audit.of(two.mine).end(act, {})  # the number is another one there
    assert [a.number for a in audit.of(two.theirs).open_acts()] == [act.number]
    assert audit.of(two.mine).entries() == []
    stores.of(two.theirs).create_set("set", "")
    assert stores.of(two.mine).sets() == []
    assert ledgers.of(two.mine).sources() == []
    for opened in (audit, ledgers, stores):
        opened.close()
