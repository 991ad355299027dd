"""Finds and repairs damaged files of a data directory while no server runs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from index import (
    AfterimageIndexError,
    DatabaseSharing,
    DataDirectory,
    Repair,
    RepairStep,
    SharedElsewhere,
    TenantLayout,
    check_pages,
    number_of,
    open_manifest,
    raise_number,
)
from index.storage import DatabaseError, connect, rename, set_aside
from service.runtime.clock import now_ms
from service.tenancy.companions import copy_of
from service.tenancy.database import TenancyError
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry

_ROUNDS = 1000  # each repairs one file of each tenant


def registry_repair(
    data: DataDirectory, key: MasterKey, sharing: DatabaseSharing | None = None
) -> RepairStep | None:  # fmt: skip
    """The repair of the registry; None if it opens. If no repair is possible, raises the error of opening it.
    `sharing`: with the other servers; it is closed."""
    derived = key.derive("tenant registry")
    try:
        TenantRegistry(data.registry, key, sharing).close()
        with closing(connect(data.registry, derived, create=False)) as connection:
            check_pages(connection, data.registry)
        return None
    except SharedElsewhere:
        raise  # nothing is wrong with it
    except AfterimageIndexError as error:
        own, copy = _number(data.registry, derived), _number(copy_of(data.registry), derived)
        if copy is not None and (own is None or copy > own):
            return RepairStep(f"{error}: it is restored from its copy, number {copy}", lambda: _put_back(data))
        if own is not None:
            message = f"{error}: it is accepted as it is; changes of tenants and keys after number {own} are lost"
            return RepairStep(message, lambda: _accept(data, derived))
        raise


def tenant_repairs(registry: TenantRegistry, data: DataDirectory) -> Iterator[tuple[str, RepairStep]]:
    """The repairs of tenants' files, with the tenants' names."""
    for tenant in registry.tenants():
        layout, key = data.tenant(tenant.uid), registry.data_key_for_repair(tenant.uid)
        accept = partial(_accept_manifest, layout, key, registry.least_generation(tenant.uid))
        found = Repair(layout, key).steps()
        for step in found:
            yield tenant.name, RepairStep(step.description, partial(_each, step.run, accept))
        if not found and (fault := registry.faults.older(tenant.uid)) is not None:
            text = f"{fault}: it is accepted as it is; what was changed since then, and is not in the files, is lost"
            yield tenant.name, RepairStep(text, accept)


def tenant_remarks(registry: TenantRegistry, data: DataDirectory) -> Iterator[str]:
    """What no repair brings back and keeps no tenant from being served, a line each, with the tenant's name. Call it
    where there are no repairs. Raises OSError or AfterimageIndexError."""
    for tenant in registry.tenants():
        for line in Repair(data.tenant(tenant.uid), registry.data_key_for_repair(tenant.uid)).remarks():
            yield f"{tenant.name}: {line}"


def mend_tenants(registry: TenantRegistry, data: DataDirectory) -> list[tuple[str, str]]:
    """Executes the repairs. Returns what was done, by tenant. Raises TenancyError if repairs keep being necessary."""
    done: list[tuple[str, str]] = []
    for _ in range(_ROUNDS):
        found = dict(reversed(list(tenant_repairs(registry, data))))  # the first of each tenant: it may fix others too
        if not found:
            return done
        for name, step in found.items():
            step.run()
            done.append((name, step.description))
    raise TenancyError("the files of a tenant cannot be repaired; restore them from a backup")


def _each(*steps: Callable[[], None]) -> None:
    for run in steps:
        run()


def _accept_manifest(layout: TenantLayout, key: bytes, least: int) -> None:
    """Raises the generation of a manifest to what the registry has noted."""
    manifest = open_manifest(layout, key)
    if manifest.generation() < least:
        manifest.put(generation=least)


def _number(path: Path, key: bytes) -> int | None:
    with suppress(AfterimageIndexError, DatabaseError), closing(connect(path, key, create=False)) as connection:
        check_pages(connection, path)
        return number_of(connection)
    return None


def _put_back(data: DataDirectory) -> None:
    for suffix in ("", "-wal", "-shm"):
        file = data.registry.with_name(data.registry.name + suffix)
        if file.exists():
            set_aside(file, data.root / "set-aside")
    rename(copy_of(data.registry), data.registry)


def _accept(data: DataDirectory, key: bytes) -> None:
    with closing(connect(data.registry, key, create=False)) as connection:
        raise_number(connection, to=now_ms())  # above every stored number
