"""The checks of `afterimage doctor`. Each returns a state ("ok", "warning", "failed") and a detail."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable

from service.cli.output import Check
from service.config import LoadedSettings
from service.settings.model import Settings


def run_checks(loaded: LoadedSettings) -> list[Check]:
    """Runs all checks in order. None changes anything."""
    settings = loaded.settings
    checks_by_name: dict[str, Callable[[Settings], tuple[str, str]]] = {
        "operating system": _check_system,
        "data directory": _check_data,
        "disk": _check_disk,
        "master key": _check_master_key,
        "tenant registry": _check_registry,
        "files of tenants": _check_files,
        "encryption": _check_encryption,
        "encoders": _check_encoders,
        "redis": _check_redis,
        "object store": _check_objects,
        "record store": _check_records,
    }
    checks = []
    for name, check in checks_by_name.items():
        try:
            checks.append(Check(name, *check(settings)))
        except Exception as error:
            checks.append(Check(name, "failed", str(error)))
    checks += [Check("environment", "warning", warning) for warning in loaded.warnings]
    return checks


def _check_system(_: Settings) -> tuple[str, str]:
    libc, libc_version = platform.libc_ver()
    if platform.system() != "Linux" or libc != "glibc":
        return "warning", f"{platform.system()} with {libc or 'an unknown libc'}: freed memory is not overwritten"
    return "ok", f"{platform.system()} {platform.release()}, {libc} {libc_version}"


def _check_data(settings: Settings) -> tuple[str, str]:
    from index import DataDirectory, DirectoryLock, DirectoryLocked

    data = DataDirectory(settings.data_dir)
    if not data.root.exists():
        return "ok", f"{data.root} does not exist yet; the first start creates it"
    if data.root.stat().st_mode & 0o077:
        return "warning", f"{data.root} is accessible to other users; run: chmod 700 {data.root}"
    if not data.lock.exists():
        return "ok", f"{data.root}, no server has run on it yet"
    lock = DirectoryLock(data.lock)
    try:
        lock.acquire()
    except DirectoryLocked as held:
        return "ok", str(held)
    lock.release()
    return "ok", f"{data.root}, no server runs on it"


def _check_disk(settings: Settings) -> tuple[str, str]:
    where = next(p for p in (settings.data_dir.resolve(), *settings.data_dir.resolve().parents) if p.exists())
    free = shutil.disk_usage(where).free
    state = "ok" if free >= settings.min_free_disk_bytes else "failed"
    return state, f"{free / 2**30:.1f} GiB free below {where}"


def _check_master_key(settings: Settings) -> tuple[str, str]:
    from index import DataDirectory
    from service.composition.data_directory import master_key_of
    from service.tenancy.masterkey import load_master_key

    if settings.master_key or settings.master_key_command:
        master_key_of(settings)
        return "ok", "from the environment" if settings.master_key else "from master_key_command"
    if not settings.key_file.exists() and not DataDirectory(settings.data_dir).registry.exists():
        return "ok", f"{settings.key_file} does not exist yet; the first start creates it"
    load_master_key(settings.key_file, None, create=False)
    return "ok", f"{settings.key_file}; store a copy separately from the data: without it all data is lost"


def _check_registry(settings: Settings) -> tuple[str, str]:
    from index import DataDirectory
    from service.composition.data_directory import open_registry

    if not DataDirectory(settings.data_dir).registry.exists():
        return "ok", "no tenants yet; create one with `afterimage tenants create`"
    registry = open_registry(settings)
    try:
        differences, said = registry.differences(), f"{len(registry.tenants())} tenants"
        return ("warning", f"{said}; {'; '.join(differences)}") if differences else ("ok", said)
    finally:
        registry.close()


def _check_files(settings: Settings) -> tuple[str, str]:
    from index import DataDirectory, DirectoryLock, DirectoryLocked
    from service.composition.data_directory import open_registry
    from service.tenancy.repairs import tenant_remarks, tenant_repairs

    data = DataDirectory(settings.data_dir)
    if not data.registry.exists() and not data.tenants.exists():
        return "ok", "none yet"
    try:
        with DirectoryLock(data.lock):
            registry = open_registry(settings)
            try:
                found = list(tenant_repairs(registry, data))
                remarks = [] if found else list(tenant_remarks(registry, data))
            finally:
                registry.close()
    except DirectoryLocked:
        return "ok", "checked by the running server; see its log and the metric afterimage_tenants_stopped"
    if remarks:
        return "warning", f"{'; '.join(remarks)}. Copy what is missing back from a backup"
    if not found:
        return "ok", "all files in the manifests exist"
    lines = "; ".join(f"{name}: {step.description}" for name, step in found)
    return "failed", f"{lines}. This was a dry run; `afterimage doctor --repair` makes the changes"


def _check_encryption(_: Settings) -> tuple[str, str]:
    from index.storage import library_versions

    sqlite, cipher = library_versions()
    return "ok", f"SQLite {sqlite}, SQLCipher {cipher}"


def _check_encoders(settings: Settings) -> tuple[str, str]:
    from service.composition.parts import encoders_of

    registry = encoders_of(settings)
    for manifest in registry.manifests():
        if not manifest.vectors_only:
            registry.session(manifest)
    said = ", ".join(f"{m.id} ({m.output.dimension})" for m in registry.manifests()) + " load and run"
    if registry.left_out:
        return "warning", f"{said}; skipped, without encoder.json: {', '.join(map(str, registry.left_out))}"
    return "ok", said


def _check_redis(settings: Settings) -> tuple[str, str]:
    from service.coordination.embedded import find_redis_server

    if settings.redis_url:
        import asyncio

        from service.coordination.client import Coordinator

        async def ask() -> tuple[str, int]:
            coordinator = Coordinator(settings.redis_url)
            try:
                return (await coordinator.check()).version, len(await coordinator.nodes())
            finally:
                await coordinator.close()

        version, servers = asyncio.run(ask())
        return "ok", f"Redis {version} at redis_url; servers that use it now: {servers}"
    found = find_redis_server()
    if found is None:
        return "failed", "no redis-server to embed; install one, or set redis_url"
    return "ok", f"embedded: {found}"


def _check_records(settings: Settings) -> tuple[str, str]:
    from service.composition.parts import record_stores_of

    stores = record_stores_of(settings)
    if stores is None:
        return "ok", "the data directory"
    try:
        stores.check()
    finally:
        stores.close()
    return "ok", "PostgreSQL at store_url"


def _check_objects(settings: Settings) -> tuple[str, str]:
    from index import DataDirectory
    from service.composition.parts import object_store_of

    if not settings.object_store:
        return "ok", f"{DataDirectory(settings.data_dir).objects}, if a collection stores pictures"
    object_store_of(settings).names("doctor")
    return "ok", f"{settings.object_store} answers"
