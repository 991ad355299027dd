"""Lints the Containerfile, and builds the image with the program that is here.

`docker` and `podman` build it as they build any. `buildah` also builds it on a machine that reaches no registry of
images: the base is then made of the same packages, from the mirror of Debian.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from release.distributions import ROOT, ReleaseError, run

CONTAINERFILE = "deploy/Containerfile"
BASE = "docker.io/library/debian:bookworm-slim"
_SUITE = "bookworm"


def lint() -> None:
    """Raises ReleaseError where hadolint finds anything."""
    programs = Path(sys.executable).parent
    hadolint = shutil.which("hadolint", path=str(programs)) or "hadolint"
    command = [hadolint, "--failure-threshold", "style", CONTAINERFILE]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        raise ReleaseError(f"{CONTAINERFILE}: {found.stdout}{found.stderr}")


def builder() -> str | None:
    """The path of docker or podman, whichever answers; None if none does."""
    for name in ("docker", "podman"):
        path = shutil.which(name)
        if path and subprocess.run([path, "info"], capture_output=True, check=False, timeout=60).returncode == 0:
            return path
    return None


def build(program: str, version: str) -> None:
    """Builds the image and has it print its version. Raises ReleaseError."""
    tag = f"afterimage:{version}"
    if subprocess.run([program, "build", "-f", CONTAINERFILE, "-t", tag, "."], cwd=ROOT, check=False).returncode:
        raise ReleaseError("the image cannot be built: see above")
    said = run([program, "run", "--rm", "--read-only", tag, "--version"])
    if said.strip() != version:
        raise ReleaseError(f"the image prints {said.strip()!r}, not {version}")


@dataclass(frozen=True)
class Buildah:
    """buildah with a store of its own, below `folder`. It needs root, and neither a daemon nor a registry."""

    folder: Path

    def build(self, tag: str) -> None:
        """Builds the Containerfile. Raises ReleaseError."""
        if not self._can_pull():
            self._make_base()
        self.run("bud", "--pull-never", "--isolation", "chroot", "--format", "docker", *self._certificates(),
                 "-f", CONTAINERFILE, "-t", tag, ".")  # fmt: skip

    def run(self, *arguments: object) -> str:
        """Returns what a command of buildah prints. Raises ReleaseError."""
        store = ["--root", self.folder / "store", "--runroot", self.folder / "run", "--storage-driver", "vfs"]
        return run(["buildah", *store, *arguments], cwd=ROOT).strip()

    def _can_pull(self) -> bool:
        try:
            self.run("pull", "--quiet", BASE)
        except ReleaseError:
            return False
        return True

    def _make_base(self) -> None:
        """Debian's minimal system, under the name of the image that has the same."""
        archive = self.folder / "base.tar"
        run(["mmdebstrap", "--quiet", "--variant=minbase", "--components=main", _SUITE, archive])
        made = self.run("from", "scratch")
        self.run("add", "--quiet", made, archive, "/")
        archive.unlink()
        self.run("commit", "--quiet", "--rm", made, BASE)

    def _certificates(self) -> list[str]:
        """Has pip trust what PIP_CERT names here, as behind a proxy; in the first stage only."""
        given = os.environ.get("PIP_CERT")
        if not given:
            return []
        configuration = self.folder / "pip.conf"
        configuration.write_text("[global]\ncert = /run/pip-cert.pem\n")
        mounts = {Path(given).resolve(): "/run/pip-cert.pem", configuration: "/etc/pip.conf"}
        return [word for source, target in mounts.items() for word in ("--volume", f"{source}:{target}:ro")]
