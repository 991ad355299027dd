"""Uses the client under the oldest and the newest packages that it allows: `make client-versions`.

For each Python from 3.9 on that is here, and for each pair of packages, the wheel of the client is installed in a
fresh virtual environment and runs `client_scenario.py` against a server of this checkout. Packages come from the
package registry. A Python that is not there is reported; with CI=true at least two must be there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from release.distributions import ROOT, ReleaseError, run
from release.installation import serving

PYTHONS = tuple(f"3.{minor}" for minor in range(9, 14))
OLDEST = ("grpcio==1.60.0", "protobuf==4.25.0")
# The oldest packages that have wheels for a Python newer than they are.
OLDEST_WITH_WHEELS = {"3.13": ("grpcio==1.66.2", "protobuf==4.25.0")}
NEWEST = ("grpcio", "protobuf")
SCENARIO = Path(__file__).with_name("client_scenario.py")


@dataclass(frozen=True)
class Pair:
    """A Python, by its path, and the packages beside which the client is installed."""

    python: str
    packages: tuple[str, ...]


def pairs(pythons: Mapping[str, str]) -> list[Pair]:
    """Returns what is tried: for each Python its oldest packages and the newest. pythons: path by version."""
    return [
        Pair(path, packages)
        for version, path in pythons.items()
        for packages in (OLDEST_WITH_WHEELS.get(version, OLDEST), NEWEST)
    ]


def program(version: str) -> str | None:
    """Returns the path of this Python, of PATH or of pyenv; None where it is not there, or is a shim without one."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for found in (shutil.which(f"python{version}"), *sorted(kept.glob(f"{version}.*/bin/python{version}"))):
        if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
            return str(found)
    return None


def use(pair: Pair, wheel: Path, folder: Path, server: tuple[str, str]) -> str:
    """Installs the client beside the packages and runs the scenario. Returns what it prints. Raises ReleaseError."""
    run([pair.python, "-m", "venv", folder])
    pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--only-binary=:all:", *pair.packages, wheel])
    run([folder / "bin/python", "-m", "pip", "check"])
    return run(
        [folder / "bin/python", SCENARIO, *server, f"shoes-{folder.name}"], cwd=folder, environment=_environment()
    ).strip()


def main() -> int:
    """Prints a line for each pair. Returns the exit code: 1 where one does not work."""
    pythons = {version: path for version in PYTHONS if (path := program(version))}
    for version in (v for v in PYTHONS if v not in pythons):
        print(f"Python {version} is not here: not tried", file=sys.stderr)
    if os.environ.get("CI") == "true" and len(pythons) < 2:
        print("client-versions: CI needs at least two Pythons of 3.9 to 3.13", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as temporary:
        failed = _try_all(pairs(pythons), Path(temporary))
    return 1 if failed else 0


def _try_all(tried: list[Pair], folder: Path) -> int:
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist"], cwd=ROOT / "proto")
    wheel = next((folder / "dist").glob("*.whl"))
    command, data = Path(sys.executable).parent / "afterimage", ["--data-dir", folder / "data"]
    failed = 0
    with serving([command, "serve", *data, "--listen", "127.0.0.1:0"], folder, _environment()) as target:
        run([command, "tenants", "create", "acme", *data], cwd=folder)
        key = run([command, "keys", "create", "acme", *data], cwd=folder).split()[-1]
        for number, pair in enumerate(tried):
            try:
                print(use(pair, wheel, folder / str(number), (target, key)), flush=True)
            except ReleaseError as error:
                failed += 1
                print(f"FAILED: Python {pair.python}, {', '.join(pair.packages)}: {error}", flush=True)
    return failed


def _environment() -> dict[str, str]:
    return {n: v for n, v in os.environ.items() if not n.startswith(("AFTERIMAGE_", "PYTHON"))}


if __name__ == "__main__":
    sys.exit(main())
