"""Programs and packages from outside Python that tests of clients use."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.needs import missing

NODE_REMEDY = "apt-get install nodejs npm, version 18 or later, and a package registry"
NPM_INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def need(program: str, remedy: str) -> None:
    """Skips the test where a program is not on PATH. Fails in CI."""
    if shutil.which(program) is None:
        missing(program, remedy)


def npm_install(folder: Path) -> None:
    """Installs what the lock file of a folder says. Skips the test where that cannot be; fails in CI."""
    need("node", NODE_REMEDY)
    need("npm", NODE_REMEDY)
    made = subprocess.run(NPM_INSTALL, cwd=folder, capture_output=True, text=True, timeout=600)
    if made.returncode != 0:
        missing(f"a registry for npm ({made.stderr.strip()[:200]})", NODE_REMEDY)


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float = 600) -> str:
    """Runs a program and returns what it printed. Fails the test, with all its output, where it fails."""
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s)
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout[-6000:]}\n{ran.stderr[-6000:]}"
    return ran.stdout
