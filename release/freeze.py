"""Notes what users may rely on from a release on: `make release-freeze`.

Writes proto/released.binpb, which `make proto-check` compares with, and tests/data/released/names-VERSION.json. The
settings are written by hand, as each needs a value: tests/data/released/settings-VERSION.toml.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import afterimage.client
from service.cli.main import application
from service.errors import Reason
from service.metrics import Metrics
from service.settings.model import Settings

ROOT = Path(__file__).parents[1]
RELEASED = ROOT / "tests/data/released"
API = ROOT / "proto/released.binpb"


def names() -> dict[str, list[str]]:
    """What each version must keep: commands with their options, error reasons with their codes, metrics with their
    types, names of the client."""
    families = Metrics().registry.collect()
    return {
        "commands": command_lines(),
        "reasons": sorted(f"{r.name} {r.code.name}" for r in Reason),
        "metrics": sorted(f"{f.name} {f.type} {f.unit}".rstrip() for f in families),
        "client": sorted(afterimage.client.__all__),
    }


def command_lines() -> list[str]:
    """Each command with its options, in the order of the help."""
    return [" ".join([name, *words]) for name, words in _commands(typer.main.get_command(application()), "afterimage")]


def missing_settings(version: str) -> list[str]:
    """Settings of this code that the settings file of a release lacks; all, where there is no such file."""
    path = RELEASED / f"settings-{version}.toml"
    present = tomllib.loads(path.read_text()) if path.exists() else {}
    return [name for name in Settings.model_fields if name not in present]


def _commands(command: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    for name, child in command.commands.items():
        if hasattr(child, "commands"):
            yield from _commands(child, f"{path} {name}")
        else:
            options = [p for p in child.params if p.param_type_name == "option"]
            yield f"{path} {name}", [word for option in options for word in (*option.opts, *option.secondary_opts)]


def descriptors() -> bytes:
    """The protos as one descriptor set, without comments."""
    return subprocess.run(
        [Path(sys.executable).with_name("buf"), "build", "--exclude-source-info", "-o", "-#format=binpb"],
        cwd=ROOT / "proto", check=True, capture_output=True,
    ).stdout  # fmt: skip


def is_current(version: str) -> bool:
    """Whether all that a release notes is noted as it is now."""
    path = _names_file(version)
    return path.exists() and json.loads(path.read_text()) == names() and API.read_bytes() == descriptors()


def _names_file(version: str) -> Path:
    return RELEASED / f"names-{version}.json"


def main() -> int:
    """Returns the exit code."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    _names_file(version).write_text(json.dumps(names(), indent=1) + "\n")
    API.write_bytes(descriptors())
    if missing := missing_settings(version):
        print(f"tests/data/released/settings-{version}.toml lacks {', '.join(missing)}: add them", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
