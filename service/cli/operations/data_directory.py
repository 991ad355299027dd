"""Access of commands to a data directory: options, registry, audit log of the operator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.config import load_settings

if TYPE_CHECKING:
    from service.audit.acts import OpenAct
    from service.audit.chain import Details
    from service.audit.logs import AuditLogs
    from service.tenancy.registry import Tenant, TenantRegistry

DataDirOption = Annotated[Path | None, typer.Option(help="The server's data directory. [env: AFTERIMAGE_DATA_DIR]")]
KeyFileOption = Annotated[Path | None, typer.Option("--master-key-file", help="File of the master key.")]


@dataclass(frozen=True)
class OperatorLog:
    """Adds an operator's actions to the audit logs of tenants."""

    audit: AuditLogs

    def add(self, uid: str, action: str, details: Details) -> None:
        """Adds an action that was done."""
        self.audit.add(uid, "operator", action, details)

    def create(self, registry: TenantRegistry, name: str, region: str) -> Tenant:
        """Creates a tenant. Its log begins with the intent, which is stored before the tenant. Raises TenancyError."""
        from service.audit.recorder import OPERATOR

        details = {"name": name, "region": region}
        begun: list[OpenAct] = []

        def announce(uid: str, data_key: bytes) -> None:
            begun.append(self.audit.of_new(uid, data_key).begin("operator", "tenant.create", details, OPERATOR))

        made = registry.create_tenant(name, region, announce)
        self.audit.of(made.uid).end(begun[0], details)
        return made

    @contextlib.contextmanager
    def act(self, uid: str, action: str, intended: Details) -> Iterator[dict[str, str | int | bool]]:
        """Records an action and its outcome: the details that the block fills in, or the reason of the failure.

        If the intent cannot be written, the block is not entered.
        """
        from service.audit.recorder import OPERATOR

        log = self.audit.of(uid)
        begun = log.begin("operator", action, intended, OPERATOR)
        done = dict(intended)
        try:
            yield done
        except BaseException:
            log.end(begun, {}, "refused")
            raise
        log.end(begun, done)


@contextlib.contextmanager
def opened_registry(
    data_dir: Path | None, master_key_file: Path | None, *, create: bool = False
) -> Iterator[tuple[TenantRegistry, OperatorLog]]:
    """The registry of a data directory, and the tenants' audit logs. Only `create` makes a new directory.

    Raises SettingError if there is none.
    """
    from index import DataDirectory
    from service.audit.logs import AuditLogs
    from service.composition.data_directory import open_registry

    settings = load_settings({"data_dir": data_dir, "master_key_file": master_key_file}).settings
    registry = open_registry(settings, create=create)
    audit = AuditLogs(DataDirectory(settings.data_dir), registry)
    try:
        yield registry, OperatorLog(audit)
    finally:
        audit.close()
        registry.close()


def at(milliseconds: int) -> datetime:
    """A time for display."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
