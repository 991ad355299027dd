"""What the files around the code promise: hooks, the container of contributors, CI."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def test_hooks_run_the_tools_of_make_check_from_the_environment() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    entries = re.findall(r"^        entry: (.+)$", text, re.MULTILINE)
    assert re.findall(r"- repo: (.+)", text) == ["local"], "hooks download nothing"
    recipe = (ROOT / "Makefile").read_text().split("\ncheck:")[1].split("\n\n")[0]
    tools = set(re.findall(r"\$\(BIN\)/([\w-]+)", recipe)) - {"python"}
    assert tools <= {Path(entry.split()[0]).name for entry in entries}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {entry.split()[1] for entry in entries if entry.startswith("make ")} <= targets


def test_the_container_of_contributors_has_what_ci_installs() -> None:
    container = (ROOT / ".devcontainer/Dockerfile").read_text()
    wanted = re.search(r"apt-get install -y -qq (.+?) >", (ROOT / ".ci/run").read_text())
    assert wanted is not None
    from_image = {"gcc", "libc6-dev"}  # python:3.12-bookworm has a compiler
    assert all(package in container for package in set(wanted[1].split()) - from_image)
    settings = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert settings["postCreateCommand"] == "make install hooks"


def test_the_image_installs_what_the_locks_pin_and_nothing_else() -> None:
    text = (ROOT / "deploy/Containerfile").read_text()
    copied = {name for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE) for name in line.split()}
    allowed = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    installs = re.findall(r"pip .*?install ((?:.|\\\n)+?)(?=&&|\n[A-Z]|\Z)", text)
    assert len(installs) == 3
    assert all("--require-hashes" in install or "--no-index" in install for install in installs), installs


def test_the_lock_of_the_server_is_part_of_the_whole_lock() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^(\S+==\S+)", (ROOT / name).read_text(), re.MULTILINE))

    assert pins("requirements-runtime.lock") < pins("requirements.lock")
    assert pins("release/build.lock") < pins("requirements.lock")
    assert pins("release/tracing.lock") < pins("requirements.lock") - pins("requirements-runtime.lock")


def test_the_lock_of_traces_has_what_the_extra_requires_and_a_server_lacks() -> None:
    """Also what its packages require, so that it installs with hashes beside the lock of the server."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["tracing"]
    locked = {
        name: set(re.findall(r"^([\w.-]+)==", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements-runtime.lock", "release/tracing.lock")
    }
    missing, seen = [Requirement(one) for one in wanted], set()
    while missing:
        name = canonicalize_name(missing.pop().name)
        if name in seen or name in locked["requirements-runtime.lock"]:
            continue
        seen.add(name)
        required = [Requirement(one) for one in distribution(name).requires or ()]
        missing += [one for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    assert seen == locked["release/tracing.lock"]
