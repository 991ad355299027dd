"""`afterimage doctor`: describes this installation and its problems."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Annotated, Any

import typer

from afterimage import __version__
from service.cli.operations.checks import run_checks
from service.cli.output import Check, CommandError, JsonFlag, console, print_json, print_table
from service.config import LoadedSettings, load_settings, process_environment
from service.runtime.process import become_prepared, forbid_dumps
from service.settings.model import Settings

_DISTRIBUTIONS = (
    "grpcio", "protobuf", "onnxruntime", "faiss-cpu", "numpy", "opencv-python-headless", "sqlcipher3", "redis",
    "pyroaring", "cryptography",
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
    versions = {"python": platform.python_version(), "afterimage": __version__}
    versions |= {name: distribution_version(name) for name in _DISTRIBUTIONS}
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
    from service.composition.data_directory import master_key_of, open_registry, sharing_of
    from service.tenancy.repairs import mend_tenants, registry_repair

    data, done = DataDirectory(settings.data_dir), []
    with DirectoryLock(data.lock):
        step = registry_repair(data, master_key_of(settings), sharing_of(settings))
        if step is not None:
            step.run()
            done.append(("", step.description))
        registry = open_registry(settings)
        try:
            done += mend_tenants(registry, data)
        finally:
            registry.close()
    if as_json:
        print_json({"mended": [{"tenant": name, "done": text} for name, text in done]})
    else:
        for name, text in done:
            print(f"{name}: {text}" if name else text)
        print(f"Repaired {len(done)} problems." if done else "Nothing to repair.")


def _fail_where(checks: list[Check]) -> None:
    failed = [c.name for c in checks if c.state == "failed"]
    if failed:
        raise CommandError(f"failed: {', '.join(failed)}", reason="CHECKS_FAILED")


def _settings(loaded: LoadedSettings) -> dict[str, dict[str, Any]]:
    shown = loaded.settings.model_dump(mode="json")
    return {n: {"value": shown[n], "origin": loaded.origins[n]} for n in Settings.model_fields}
