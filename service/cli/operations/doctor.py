"""`afterimage doctor`: describes this installation and its problems."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.output import Check, CommandError, JsonFlag, console, print_json, print_table
from service.config import LoadedSettings, Settings, load_settings, process_environment
from service.runtime.process import become_prepared, forbid_dumps

_DISTRIBUTIONS = (
    "afterimage", "afterimage-client", "grpcio", "protobuf", "onnxruntime", "faiss-cpu", "numpy",
    "opencv-python-headless", "sqlcipher3", "redis", "pyroaring", "cryptography",
)  # fmt: skip


def doctor(
    data_dir: Annotated[Path | None, typer.Option(help="The server's data directory.")] = None,
    encoders_dir: Annotated[Path | None, typer.Option(help="Directory of custom encoders.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    privacy: Annotated[bool, typer.Option("--privacy", help="Show only the protections of pictures.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair the files of the data directory; no server may run on it.")
    ] = False,
    egress: Annotated[
        bool, typer.Option("--egress", help="Show only the connections that the service can open.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Show settings with their origin, versions, and checks. The exit code is 1 if a check failed.

    Example: afterimage doctor --data-dir data
    """
    loaded = load_settings({"data_dir": data_dir, "encoders_dir": encoders_dir}, config)
    if privacy:
        _show_privacy(loaded.settings, as_json=json)
        return
    if egress:
        _show_egress(loaded.settings, as_json=json)
        return
    if repair:
        _repair(loaded.settings, as_json=json)
        return
    checks = run_checks(loaded)
    versions = {"python": platform.python_version(), **{d: distribution_version(d) for d in _DISTRIBUTIONS}}
    if json:
        print_json({"settings": _settings(loaded), "versions": versions, "checks": [asdict(c) for c in checks]})
    else:
        out = console()
        out.rule("settings", align="left")
        print_table(
            ["setting", "value", "origin"], [(n, s["value"], s["origin"]) for n, s in _settings(loaded).items()]
        )
        out.rule("versions", align="left")
        print_table(["package", "version"], list(versions.items()))
        out.rule("checks", align="left")
        print_table(["check", "state", "detail"], [(c.name, c.state, c.detail) for c in checks])
    _fail_where(checks)


def _show_privacy(settings: Settings, *, as_json: bool) -> None:
    become_prepared(sys.argv[1:], process_environment(), settings.max_image_pixels)
    forbid_dumps()
    from service.cli.operations.privacy import privacy_checks

    checks = privacy_checks(settings)
    if as_json:
        print_json({"checks": [asdict(c) for c in checks]})
    else:
        print_table(["protection", "state", "detail"], [(c.name, c.state, c.detail) for c in checks])
    _fail_where(checks)


def _show_egress(settings: Settings, *, as_json: bool) -> None:
    from service.runtime.egress import connections

    found = connections(settings)
    if as_json:
        print_json({"connections": [asdict(c) for c in found]})
    else:
        rows = [(c.name, "open" if c.open else "off", c.to, c.why, c.off) for c in found]
        print_table(["connection", "state", "to", "why", "how to disable it"], rows)


def _repair(settings: Settings, *, as_json: bool) -> None:
    from index import DataDirectory, DirectoryLock
    from service.composition.data_directory import master_key_of, open_registry
    from service.tenancy.mending import mend_tenants, registry_mending

    data, done = DataDirectory(settings.data_dir), []
    with DirectoryLock(data.lock):
        mending = registry_mending(data, master_key_of(settings))
        if mending is not None:
            mending.run()
            done.append(("", mending.told))
        registry = open_registry(settings)
        try:
            done += mend_tenants(registry, data)
        finally:
            registry.close()
    if as_json:
        print_json({"mended": [{"tenant": name, "done": told} for name, told in done]})
    else:
        for name, told in done:
            print(f"{name}: {told}" if name else told)
        print(f"Repaired {len(done)} problems." if done else "Nothing to repair.")


def _fail_where(checks: list[Check]) -> None:
    failed = [c.name for c in checks if c.state == "failed"]
    if failed:
        raise CommandError(f"failed: {', '.join(failed)}", reason="CHECKS_FAILED")


def run_checks(loaded: LoadedSettings) -> list[Check]:
    """Runs all checks in order. None changes anything."""
    settings = loaded.settings
    looks: dict[str, Callable[[Settings], tuple[str, str]]] = {
        "operating system": _look_at_system,
        "data directory": _look_at_data,
        "disk": _look_at_disk,
        "master key": _look_at_master_key,
        "tenant registry": _look_at_registry,
        "files of tenants": _look_at_files,
        "encryption": _look_at_encryption,
        "encoders": _look_at_encoders,
        "redis": _look_at_redis,
        "object store": _look_at_objects,
    }
    checks = []
    for name, look in looks.items():
        try:
            checks.append(Check(name, *look(settings)))
        except Exception as error:
            checks.append(Check(name, "failed", str(error)))
    checks += [Check("environment", "warning", said) for said in loaded.warnings]
    return checks


def _look_at_system(_: Settings) -> tuple[str, str]:
    libc, libc_version = platform.libc_ver()
    if platform.system() != "Linux" or libc != "glibc":
        return "warning", f"{platform.system()} with {libc or 'an unknown libc'}: freed memory is not overwritten"
    return "ok", f"{platform.system()} {platform.release()}, {libc} {libc_version}"


def _look_at_data(settings: Settings) -> tuple[str, str]:
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


def _look_at_disk(settings: Settings) -> tuple[str, str]:
    where = next(p for p in (settings.data_dir.resolve(), *settings.data_dir.resolve().parents) if p.exists())
    free = shutil.disk_usage(where).free
    state = "ok" if free >= settings.min_free_disk_bytes else "failed"
    return state, f"{free / 2**30:.1f} GiB free below {where}"


def _look_at_master_key(settings: Settings) -> tuple[str, str]:
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


def _look_at_registry(settings: Settings) -> tuple[str, str]:
    from index import DataDirectory
    from service.composition.data_directory import open_registry

    if not DataDirectory(settings.data_dir).registry.exists():
        return "ok", "no tenants yet; create one with `afterimage tenants create`"
    registry = open_registry(settings)
    try:
        return "ok", f"{len(registry.tenants())} tenants"
    finally:
        registry.close()


def _look_at_files(settings: Settings) -> tuple[str, str]:
    from index import DataDirectory, DirectoryLock, DirectoryLocked
    from service.composition.data_directory import open_registry
    from service.tenancy.mending import tenant_mendings

    data = DataDirectory(settings.data_dir)
    if not data.registry.exists() and not data.tenants.exists():
        return "ok", "none yet"
    try:
        with DirectoryLock(data.lock):
            registry = open_registry(settings)
            try:
                found = list(tenant_mendings(registry, data))
            finally:
                registry.close()
    except DirectoryLocked:
        return "ok", "checked by the running server; see its log and the metric afterimage_tenants_stopped"
    if not found:
        return "ok", "all files in the manifests exist"
    lines = "; ".join(f"{name}: {mending.told}" for name, mending in found)
    return "failed", f"{lines}. This was a dry run; `afterimage doctor --repair` makes the changes"


def _look_at_encryption(_: Settings) -> tuple[str, str]:
    from index.storage import library_versions

    sqlite, cipher = library_versions()
    return "ok", f"SQLite {sqlite}, SQLCipher {cipher}"


def _look_at_encoders(settings: Settings) -> tuple[str, str]:
    from service.composition.parts import encoders_of

    registry = encoders_of(settings)
    for manifest in registry.manifests():
        registry.session(manifest)
    said = ", ".join(f"{m.id} ({m.output.dimension})" for m in registry.manifests()) + " load and run"
    if registry.left_out:
        return "warning", f"{said}; skipped, without encoder.json: {', '.join(map(str, registry.left_out))}"
    return "ok", said


def _look_at_redis(settings: Settings) -> tuple[str, str]:
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


def _look_at_objects(settings: Settings) -> tuple[str, str]:
    from index import DataDirectory
    from service.composition.parts import object_store_of

    if not settings.object_store:
        return "ok", f"{DataDirectory(settings.data_dir).objects}, if a collection stores pictures"
    object_store_of(settings).names("doctor")
    return "ok", f"{settings.object_store} answers"


def _settings(loaded: LoadedSettings) -> dict[str, dict[str, Any]]:
    shown = loaded.settings.model_dump(mode="json")
    return {n: {"value": shown[n], "origin": loaded.origins[n]} for n in Settings.model_fields}
