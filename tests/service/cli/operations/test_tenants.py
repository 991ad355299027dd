"""Creating tenants on a data directory: their audit log has an entry before they exist."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from index import StoreUnavailable
from service.audit.acts import OpenAct
from service.audit.log import AuditLog
from service.cli.operations.data_directory import OperatorLog
from service.outcomes import States
from service.tenancy.registry import TenantRegistry
from tests.support.data.data_directory import Opened, opened


def acts(parts: Opened, uid: str) -> list[tuple[str, object]]:
    return [(e.action, e.details.get("act") or e.details.get("name")) for e, _ in parts.audit.of(uid).entries()]


def test_the_log_of_a_new_tenant_begins_with_intent_and_outcome(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as parts:
        made = OperatorLog(parts.audit).create(parts.registry, "acme", "eu-1")
        assert acts(parts, made.uid) == [("intent", "tenant.create"), ("tenant.create", "acme")]
        assert parts.audit.of(made.uid).open_acts() == []


def test_a_tenant_that_cannot_be_told_of_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> OpenAct:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(AuditLog, "begin", refuses)
    with opened(tmp_path / "data") as parts:
        with pytest.raises(StoreUnavailable):
            OperatorLog(parts.audit).create(parts.registry, "acme", "")
        assert parts.registry.tenants() == []


def test_a_command_that_is_killed_after_it_made_a_tenant_leaves_an_act_that_is_found_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = TenantRegistry.create_tenant

    def killed(registry: TenantRegistry, *given: object) -> object:
        make(registry, *given)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(TenantRegistry, "create_tenant", killed)
    with opened(tmp_path / "data") as parts:
        with pytest.raises(KeyboardInterrupt):
            OperatorLog(parts.audit).create(parts.registry, "acme", "")
        (tenant,) = parts.registry.tenants()
        (act,) = parts.audit.of(tenant.uid).open_acts()
        seen = SimpleNamespace(engine=SimpleNamespace(spaces=parts.spaces), access=None)
        assert States(seen).look(tenant.uid, act)  # type: ignore[arg-type]
