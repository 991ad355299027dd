"""Checks that this commit can be released: `make release-check`. docs/releasing.md is the procedure.

Without --tag it is a dry run: what only the last commit before a release must have is reported, and fails nothing.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from release import distributions, freeze, image, installation
from release.distributions import ROOT, ReleaseError

T = TypeVar("T")


def version_of(root: Path) -> str:
    """The version that both distributions, and what they print, agree on. Raises ReleaseError."""
    server, client = (
        tomllib.loads((root / p).read_text())["project"] for p in ("pyproject.toml", "proto/pyproject.toml")
    )
    stated = re.search(r'^__version__ = "(.+)"$', (root / "proto/afterimage/__init__.py").read_text(), re.MULTILINE)
    found = {server["version"], client["version"], stated[1] if stated else ""}
    if len(found) > 1:
        raise ReleaseError(
            "pyproject.toml, proto/pyproject.toml and afterimage.__version__ differ: " + ", ".join(sorted(found))
        )
    return str(found.pop())


def changelog_problems(text: str, version: str) -> list[str]:
    """What the newest section of the changelog must say before a release, and does not."""
    newest = re.search(r"^## (.+)$", text, re.MULTILINE)
    if newest is None or not re.match(rf"{re.escape(version)}(,|$)", newest[1]):
        raise ReleaseError(f"CHANGELOG.md: its newest section must be of {version}")
    if not re.fullmatch(rf"{re.escape(version)}, \d{{4}}-\d\d-\d\d", newest[1]):
        return [f"CHANGELOG.md: write the date, `## {version}, YYYY-MM-DD`"]
    return []


def tag_problems(tag: str, version: str) -> list[str]:
    """What is wrong with the tag, and with the commit that it is to name."""
    problems = [] if tag == f"v{version}" else [f"the tag must be v{version}, not {tag}"]
    if _git("status", "--porcelain"):
        problems.append("there are changes that are not committed")
    if _git("tag", "--list", tag) and _git("rev-parse", f"{tag}^{{commit}}") != _git("rev-parse", "HEAD"):
        problems.append(f"{tag} names another commit")
    return problems


def frozen_problems(version: str) -> list[str]:
    """What `make release-freeze` has not noted yet."""
    problems = [f"settings-{version}.toml lacks {name}" for name in freeze.missing_settings(version)]
    if not freeze.is_current(version):
        problems.append("what users may rely on is not noted: run `make release-freeze`")
    return problems


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tag", default="", help="the tag of the release, such as v0.1.0; without it: a dry run")
    tag = parser.parse_args().tag
    try:
        problems = _checked(tag)
    except ReleaseError as error:
        print(f"release-check: {error}", file=sys.stderr)
        return 1
    for problem in problems:
        print(f"{'FAILED' if tag else 'before the release'}: {problem}", file=sys.stderr)
    print("release-check: " + ("not ready" if problems and tag else f"ready to tag {tag}" if tag else "dry run passed"))
    return 1 if problems and tag else 0


def _checked(tag: str) -> list[str]:
    version = version_of(ROOT)
    problems = changelog_problems((ROOT / "CHANGELOG.md").read_text(), version) + frozen_problems(version)
    problems += tag_problems(tag, version) if tag else []
    _step("lint the Containerfile", image.lint)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        made = _step("build wheels and source distributions", lambda: distributions.build(place))
        _step("use the client alone", lambda: installation.use_client_alone(made[1], place / "client"))
        programs = _step("install in a fresh environment", lambda: installation.install(made[0], place / "server"))
        _step("use every package", lambda: installation.use_packages(programs, place / "packages"))
        _step("start the server, insert, search", lambda: installation.use_server(programs, place / "run", version))
    if (program := image.builder()) is None:
        problems.append(
            "THE IMAGE WAS NOT BUILT: no docker or podman answers here; run `make image-check`, which needs buildah"
        )
    else:
        _step("build the image", lambda: image.build(program, version))
    return problems


def _step(what: str, work: Callable[[], T]) -> T:
    began = time.monotonic()
    result = work()
    print(f"{what}: ok, {time.monotonic() - began:.0f} s", flush=True)
    return result


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S607


if __name__ == "__main__":
    sys.exit(main())
