"""Tenants in the registry, and names in certificates that stand for their keys."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from index import DataFault
from service.errors import Reason, ServiceError
from service.tenancy.apikeys import ApiKey, Scope, new_api_key, parse_api_key
from service.tenancy.companions import copy_of, noted_number
from service.tenancy.database import TenancyError
from service.tenancy.keyring import Principal
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry
from service.tenancy.stored_keys import NewKey

MASTER = MasterKey(bytes(range(32)))
SEARCH = NewKey(frozenset({Scope.SEARCH}))


def opened(path: Path) -> TenantRegistry:
    return TenantRegistry(path, MASTER)


# ---- tenants


@pytest.mark.parametrize("name", ["a", "0", "a-b_c", "x" * 63])
def test_a_tenant_is_found_by_its_name_and_listed_in_order(registry: TenantRegistry, name: str) -> None:
    made = registry.create_tenant(name, "eu")
    registry.create_tenant("zz")
    assert registry.tenant(name) == made
    assert [t.name for t in registry.tenants()] == [name, "zz"]
    assert (made.name, made.region, registry.region(made.uid)) == (name, "eu", "eu")
    assert registry.region(registry.tenant("zz").uid) == ""
    assert registry.region("nobody") == ""
    assert made.created_ms > 10**12


def test_a_name_that_is_refused_is_quoted_in_part(registry: TenantRegistry) -> None:
    with pytest.raises(TenancyError) as caught:
        registry.create_tenant("X" * 1000)
    assert "X" * 80 in str(caught.value)
    assert "X" * 81 not in str(caught.value)


def test_who_is_told_of_a_tenant_hears_of_it_before_it_is_there(registry: TenantRegistry) -> None:
    told: list[tuple[str, bytes, list[str]]] = []
    made = registry.create_tenant(
        "acme", announce=lambda uid, key: told.append((uid, key, [t.name for t in registry.tenants()]))
    )
    assert told == [(made.uid, registry.data_key(made.uid), [])]
    with pytest.raises(TenancyError):
        registry.create_tenant("acme", announce=lambda uid, key: pytest.fail("it exists"))


def test_hosts_to_fetch_from_are_any_none_or_those_of_the_list(registry: TenantRegistry, uid: str) -> None:
    assert registry.fetch_hosts(uid) is None
    assert registry.fetch_hosts("nobody") is None
    registry.set_fetch_hosts("acme", ["b.example", "*.a.example", "b.example"])
    assert registry.fetch_hosts(uid) == frozenset({"b.example", "*.a.example"})
    registry.set_fetch_hosts("acme", [])
    assert registry.fetch_hosts(uid) == frozenset()
    registry.set_fetch_hosts("acme", None)
    assert registry.fetch_hosts(uid) is None
    with pytest.raises(TenancyError):
        registry.set_fetch_hosts("nobody", [])


def test_a_deleted_tenant_has_no_name_key_or_credentials_and_is_known_by_its_uid(registry: TenantRegistry) -> None:
    kept, gone = registry.create_tenant("kept"), registry.create_tenant("gone")
    keys = {tenant.uid: registry.api_keys.create(tenant.uid, SEARCH) for tenant in (kept, gone)}
    assert registry.delete_tenant("gone") == gone
    assert registry.deleted_uids() == [gone.uid]
    assert [t.uid for t in registry.tenants()] == [kept.uid]
    assert registry.api_keys.of(gone.uid) == []
    assert len(registry.api_keys.of(kept.uid)) == 1
    assert registry.api_keys.authenticate(f"Bearer {keys[kept.uid]}").tenant_uid == kept.uid
    for lost in (registry.data_key, registry.data_key_for_repair, registry.wrapped_key):
        with pytest.raises(TenancyError, match="no longer exists"):
            lost(gone.uid)
    with pytest.raises(TenancyError):
        registry.wrapped_key("nobody")


def test_the_generation_of_a_manifest_is_noted_from_the_first_and_never_falls(registry: TenantRegistry) -> None:
    uid = registry.create_tenant("acme").uid
    assert registry.least_generation(uid) == 1
    assert registry.least_generation("nobody") == 0
    registry._database.change("UPDATE tenants SET listed = 0")
    assert registry.least_generation(uid) == 0
    number = registry._database.number()
    registry.note_generations({uid: 7})
    registry.note_generations({uid: 3})
    assert registry.least_generation(uid) == 7
    assert registry._database.number() == number  # it is no change of tenants or keys


def test_secrets_are_random_and_stay_as_they_are(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "registry.db")) as registry:
        first, other = registry.secret("runs"), registry.secret("other")
        assert len(first) == len(other) == 32
        assert first != other
        assert registry.secret("runs") == first
    with closing(opened(tmp_path / "registry.db")) as again:
        assert again.secret("runs") == first


def test_an_older_copy_of_the_registry_is_noticed_and_the_standing_copy_is_current(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    with closing(opened(path)) as registry:
        registry.create_tenant("first")
    older = path.read_bytes()
    with closing(opened(path)) as registry:
        registry.create_tenant("second")
    newest = path.read_bytes()
    path.write_bytes(older)
    with pytest.raises(DataFault, match="is an older copy"):
        opened(path)
    path.write_bytes(newest)
    with closing(opened(path)) as registry:
        assert [t.name for t in registry.tenants()] == ["first", "second"]
    path.write_bytes(copy_of(path).read_bytes())
    with closing(opened(path)) as registry:
        assert [t.name for t in registry.tenants()] == ["first", "second"]


def test_a_registry_that_another_process_changes_while_it_is_opened_is_no_older_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "registry.db"
    with closing(opened(path)) as other:
        other.create_tenant("first")
        other.note_progress()

        def meanwhile(*where: Any) -> int:
            other.create_tenant("second")
            other.note_progress()
            return noted_number(*where)

        monkeypatch.setattr("service.tenancy.registry.noted_number", meanwhile)
        with closing(opened(path)) as registry:
            assert [t.name for t in registry.tenants()] == ["first", "second"]


def test_a_copy_that_cannot_be_written_is_logged_and_written_with_the_next_change(
    registry: TenantRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry.create_tenant("first")
    copy = copy_of(tmp_path / "registry.db")
    copy.mkdir()
    with caplog.at_level(logging.WARNING):
        registry.note_progress()
    assert "could not update the copy of the registry" in caplog.text
    copy.rmdir()
    registry.note_progress()
    assert copy.is_file()


# ---- keys


def test_a_new_key_has_the_shape_that_scanners_know() -> None:
    made = {str(new_api_key()) for _ in range(50)}
    assert len(made) == 50
    for text in made:
        key = parse_api_key(text)
        assert key is not None
        assert (len(key.key_id), len(key.secret), str(key)) == (12, 43, text)
        assert text.startswith("af_live_")
        assert repr(key) == f"ApiKey({key.key_id})"
        assert len(key.digest(b"pepper")) == 32
        assert key.digest(b"pepper") != key.digest(b"other")


def test_the_id_of_a_key_with_another_secret_opens_nothing(registry: TenantRegistry, uid: str) -> None:
    key = parse_api_key(registry.api_keys.create(uid, SEARCH))
    assert key is not None
    forged = str(ApiKey(key.key_id, new_api_key().secret))
    assert parse_api_key(forged) is not None  # its checksum is right
    with pytest.raises(ServiceError) as caught:
        registry.api_keys.authenticate(f"Bearer {forged}")
    assert caught.value.reason is Reason.KEY_INVALID
    assert registry.api_keys.authenticate(f"Bearer {key}").tenant_uid == uid


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_of_the_header_may_be_written_in_any_case(registry: TenantRegistry, uid: str, scheme: str) -> None:
    key = registry.api_keys.create(uid, SEARCH)
    assert registry.api_keys.authenticate(f"{scheme}  {key} ").tenant_uid == uid


def test_a_key_lives_for_its_own_tenant_until_it_is_revoked(registry: TenantRegistry, uid: str) -> None:
    other = registry.create_tenant("other").uid
    key_id = parse_api_key(registry.api_keys.create(uid, SEARCH)).key_id  # type: ignore[union-attr]
    assert registry.api_keys.lives(uid, key_id)
    assert not registry.api_keys.lives(other, key_id)
    assert not registry.api_keys.lives(uid, "nokey")
    registry.api_keys.revoke(uid, key_id)
    assert not registry.api_keys.lives(uid, key_id)
    revoked_ms = registry.api_keys.of(uid)[0].revoked_ms
    registry.api_keys.revoke(uid, key_id)
    assert registry.api_keys.of(uid)[0].revoked_ms == revoked_ms  # the first time is the one that counts


def test_an_actor_is_a_key_or_an_access(uid: str) -> None:
    assert Principal(uid, "k", frozenset()).actor == "key:k"
    assert Principal(uid, "k", frozenset(), access_id="a").actor == "access:a"


# ---- certificates


def refused(registry: TenantRegistry, *names: str) -> Reason:
    with pytest.raises(ServiceError) as caught:
        registry.api_keys.authenticate(None, names)
    return caught.value.reason


def test_a_certificate_stands_for_the_key_that_its_name_is_bound_to(registry: TenantRegistry, uid: str) -> None:
    key_id = registry.api_keys.bind(uid, "spiffe://acme", SEARCH)
    found = registry.api_keys.authenticate(None, ["other", "spiffe://acme"])
    assert (found.tenant_uid, found.key_id, found.scopes) == (uid, key_id, SEARCH.scopes)
    assert [k.identity for k in registry.api_keys.of(uid)] == ["spiffe://acme"]
    key = registry.api_keys.create(uid, NewKey(frozenset({Scope.INSERT})))
    assert registry.api_keys.authenticate(f"Bearer {key}", ["spiffe://acme"]).scopes == {Scope.INSERT}
    assert refused(registry, "other") is Reason.KEY_MISSING
    assert refused(registry) is Reason.KEY_MISSING


def test_names_of_several_keys_are_told_to_decide(registry: TenantRegistry, uid: str) -> None:
    for name in ("one", "two"):
        registry.api_keys.bind(uid, name, SEARCH)
    assert refused(registry, "one", "two") is Reason.KEY_INVALID
    assert registry.api_keys.authenticate(None, ["one", "one"]).tenant_uid == uid


def test_a_name_is_bound_once_until_its_key_is_revoked(registry: TenantRegistry, uid: str) -> None:
    other = registry.create_tenant("other").uid
    key_id = registry.api_keys.bind(uid, "name", SEARCH)
    with pytest.raises(TenancyError, match=f"already bound to key {key_id}"):
        registry.api_keys.bind(other, "name", SEARCH)
    assert registry.api_keys.of(other) == []
    registry.api_keys.revoke(uid, key_id)
    assert refused(registry, "name") is Reason.KEY_REVOKED
    registry.api_keys.bind(other, "name", SEARCH)
    assert registry.api_keys.authenticate(None, ["name"]).tenant_uid == other
    registry.delete_tenant("other")
    assert refused(registry, "name") is Reason.KEY_MISSING


@pytest.mark.parametrize("name", ["", " name", "name ", "a\nb", "a\x00b"])
def test_what_no_certificate_can_hold_is_no_name(registry: TenantRegistry, uid: str, name: str) -> None:
    with pytest.raises(TenancyError, match="is not a valid name for a certificate"):
        registry.api_keys.bind(uid, name, SEARCH)
