"""Lints the Dockerfile, and builds the image where there is a program for it whose service answers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from release.distributions import ROOT, ReleaseError

_PROBES = {"docker": ["info"], "podman": ["info"], "buildah": ["info"]}


def _programs() -> Path:
    return Path(sys.executable).parent


def lint() -> None:
    """Raises ReleaseError where hadolint finds anything."""
    hadolint = [
        shutil.which("hadolint", path=str(_programs())) or "hadolint",
        "--failure-threshold",
        "style",
        "Dockerfile",
    ]
    found = subprocess.run(hadolint, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        raise ReleaseError(f"Dockerfile: {found.stdout}{found.stderr}")


def builder() -> str | None:
    """The first program that can build an image here."""
    for name, probe in _PROBES.items():
        path = shutil.which(name)
        if path and subprocess.run([path, *probe], capture_output=True, check=False, timeout=60).returncode == 0:
            return path
    return None


def build(program: str, version: str) -> None:
    """Builds the image and has it print its version. Raises ReleaseError."""
    tag = f"afterimage:{version}"
    command = [program, "bud" if program.endswith("buildah") else "build", "-t", tag, "."]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise ReleaseError("the image cannot be built: see above")
    if program.endswith("buildah"):
        return
    said = subprocess.run([program, "run", "--rm", tag, "--version"], capture_output=True, text=True, check=False)
    if said.stdout.strip() != version:
        raise ReleaseError(f"the image prints {said.stdout.strip()!r} {said.stderr[-500:]}, not {version}")
