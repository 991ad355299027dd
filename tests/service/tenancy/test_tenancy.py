import base64
import os
from pathlib import Path
from typing import Any

import pytest

from index import DataDirectory, DataFault, WrongKey
from index.tenant.directory import TenantDirectory
from service.errors import Reason, ServiceError, SettingError
from service.tenancy.apikeys import Scope, key_id_of, new_api_key, parse_api_key
from service.tenancy.database import TenancyError
from service.tenancy.masterkey import MasterKey, load_master_key
from service.tenancy.registry import TenantRegistry
from service.tenancy.spaces import TenantSpaces
from service.tenancy.stored_keys import NewKey
from tests.support.data.collections import SPEC, record
from tests.support.data.files import all_bytes

MASTER = MasterKey(bytes(range(32)))


def new_key(registry: TenantRegistry, tenant: str, *scopes: Scope, **more: Any) -> str:
    return registry.api_keys.create(registry.tenant(tenant).uid, NewKey(frozenset(scopes), **more))


def reason_of(registry: TenantRegistry, header: str | None) -> Reason:
    with pytest.raises(ServiceError) as caught:
        registry.api_keys.authenticate(header)
    return caught.value.reason


def test_a_key_names_its_tenant_and_scopes(registry: TenantRegistry) -> None:
    tenant = registry.create_tenant("acme")
    key = new_key(registry, "acme", Scope.SEARCH, Scope.INSERT)
    found = registry.api_keys.authenticate(f"Bearer {key}")
    assert (found.tenant_uid, found.scopes) == (tenant.uid, frozenset({Scope.SEARCH, Scope.INSERT}))
    found.require(Scope.SEARCH)
    with pytest.raises(ServiceError, match="`delete`"):
        found.require(Scope.DELETE)


def test_keys_that_are_missing_wrong_or_revoked_are_distinguished(registry: TenantRegistry) -> None:
    registry.create_tenant("acme")
    key = new_key(registry, "acme", Scope.SEARCH)
    other = str(new_api_key())
    forged = other.replace(other.split("_")[2], key.split("_")[2])
    assert reason_of(registry, None) is Reason.KEY_MISSING
    for header in (
        "Bearer nonsense",
        f"Basic {key}",
        f"Bearer {other}",
        f"Bearer {forged}",
        f"Bearer {key[:-1]}x",
        key,
    ):
        assert reason_of(registry, header) is Reason.KEY_INVALID
    registry.api_keys.revoke(registry.tenant("acme").uid, key_id_of(key))
    assert reason_of(registry, f"Bearer {key}") is Reason.KEY_REVOKED


def test_another_process_sees_a_revocation_at_its_next_call(tmp_path: Path, registry: TenantRegistry) -> None:
    registry.create_tenant("acme")
    key = new_key(registry, "acme", Scope.SEARCH)
    beside = TenantRegistry(tmp_path / "registry.db", MASTER)
    assert beside.api_keys.authenticate(f"Bearer {key}").key_id == key_id_of(key)
    registry.api_keys.revoke(registry.tenant("acme").uid, key_id_of(key))
    assert reason_of(beside, f"Bearer {key}") is Reason.KEY_REVOKED
    beside.close()


def test_a_key_has_a_checksum_and_its_secret_is_not_stored(tmp_path: Path, registry: TenantRegistry) -> None:
    registry.create_tenant("acme")
    key = new_key(registry, "acme", Scope.SEARCH)
    assert key.startswith("af_live_")
    for position in range(len(key)):
        changed = key[:position] + ("a" if key[position] != "a" else "b") + key[position + 1 :]
        assert parse_api_key(changed) is None
    registry.close()
    registry.__init__(tmp_path / "registry.db", MASTER)  # type: ignore[misc]
    parsed = parse_api_key(key)
    assert parsed is not None
    secret = parsed.secret
    assert secret.encode() not in all_bytes(tmp_path)
    assert secret not in repr(parse_api_key(key))


@pytest.mark.parametrize("name", ["", "UPPER", "a b", "../x", "x" * 64, "-a"])
def test_a_tenant_name_that_is_not_allowed_is_refused(registry: TenantRegistry, name: str) -> None:
    with pytest.raises(TenancyError):
        registry.create_tenant(name)


def test_names_are_unique_and_unknown_ones_are_said_so(registry: TenantRegistry) -> None:
    registry.create_tenant("acme")
    for attempt in (
        lambda: registry.create_tenant("acme"),
        lambda: registry.delete_tenant("other"),
        lambda: new_key(registry, "other", Scope.SEARCH),
        lambda: new_key(registry, "acme"),
        lambda: registry.api_keys.revoke(registry.tenant("acme").uid, "nokey"),
    ):
        with pytest.raises(TenancyError):
            attempt()


def test_deleting_a_tenant_destroys_its_key_and_files_and_frees_its_name(
    tmp_path: Path, registry: TenantRegistry
) -> None:
    data = DataDirectory(tmp_path / "data")
    spaces = TenantSpaces(data, registry)
    tenant = registry.create_tenant("acme")
    key = new_key(registry, "acme", Scope.SEARCH)
    spaces.directory(tenant.uid).create(SPEC).upsert([record(1)])
    registry.delete_tenant("acme")
    assert reason_of(registry, f"Bearer {key}") is Reason.KEY_INVALID
    with pytest.raises(TenancyError):
        registry.data_key(tenant.uid)
    assert spaces.remove_deleted() == 1
    assert not data.tenant(tenant.uid).root.exists()
    assert registry.create_tenant("acme").uid != tenant.uid
    spaces.close()


def test_a_backup_of_a_deleted_tenant_stays_unreadable(tmp_path: Path, registry: TenantRegistry) -> None:
    tenant = registry.create_tenant("acme")
    spaces = TenantSpaces(DataDirectory(tmp_path / "data"), registry)
    spaces.directory(tenant.uid).create(SPEC)
    spaces.close()
    backup = (tmp_path / "data").rename(tmp_path / "backup")
    registry.delete_tenant("acme")
    other = registry.create_tenant("other")
    for key in (registry.data_key(other.uid), bytes(32)):
        with pytest.raises(DataFault):
            TenantDirectory(DataDirectory(backup).tenant(tenant.uid), key)


def test_tenants_have_keys_of_their_own(registry: TenantRegistry) -> None:
    keys = {registry.data_key(registry.create_tenant(f"t{n}").uid) for n in range(5)}
    assert len(keys) == 5


def test_another_master_key_opens_nothing(tmp_path: Path, registry: TenantRegistry) -> None:
    registry.create_tenant("acme")
    with pytest.raises(WrongKey):
        TenantRegistry(tmp_path / "registry.db", MasterKey(bytes(32)))
    wrapped = MASTER.wrap(bytes(32), "owner")
    with pytest.raises(SettingError):
        MasterKey(bytes(32)).unwrap(wrapped, "owner")
    with pytest.raises(SettingError):
        MASTER.unwrap(wrapped, "someone else")


def test_the_master_key_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "new" / "master-key"
    load_master_key(path, None, create=True)
    assert path.stat().st_mode & 0o777 == 0o600
    first = path.read_bytes()
    load_master_key(path, None, create=True)
    assert path.read_bytes() == first
    path.chmod(0o644)
    with pytest.raises(SettingError, match="chmod 600"):
        load_master_key(path, None, create=False)


@pytest.mark.parametrize("content", ["", "short", base64.b64encode(bytes(31)).decode(), "!" * 44])
def test_a_master_key_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "master-key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SettingError, match="32 bytes in base64"):
        load_master_key(path, None, create=False)


def test_a_lost_master_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="restore the file"):
        load_master_key(tmp_path / "gone", None, create=False)


def test_the_environment_may_hold_the_master_key(tmp_path: Path) -> None:
    secret = os.urandom(32)
    given = load_master_key(tmp_path / "unused", base64.b64encode(secret).decode(), create=False)
    assert given.derive("x") == MasterKey(secret).derive("x")
    assert not (tmp_path / "unused").exists()
