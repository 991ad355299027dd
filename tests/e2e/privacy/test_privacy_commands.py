"""docs/privacy.md: each promise has a command and tests, the tests exist, and the commands work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from afterimage.client import NewExample, NewRecord
from tests.support.data.pictures import png
from tests.support.servers.server import start_server
from tests.support.servers.shell import Shell

ROOT = Path(__file__).parents[3]
TABLE = (ROOT / "docs" / "privacy.md").read_text().split("\n## ")[0]
ROWS = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+) \|$", TABLE, re.MULTILINE)[1:]
PROMISES = {row[0]: (re.findall(r"`((?:afterimage|make) [^`]+)`", row[2]), row[3]) for row in ROWS if row[0] != "---"}


def test_every_promise_has_a_command_and_tests_that_exist() -> None:
    assert len(PROMISES) > 18
    makefile = (ROOT / "Makefile").read_text()
    for promise, (commands, tests) in PROMISES.items():
        named = re.findall(r"`(tests/[^`]+)`", tests)
        assert commands, promise
        assert named, promise
        assert all((ROOT / t).exists() for t in named), named
        for command in commands:
            if command.startswith("make "):
                target, *given = command.split()[1:]
                assert f"\n{target}:" in makefile, command
                assert all((ROOT / g.removeprefix("TESTS=")).exists() for g in given), command


@pytest.mark.timeout(300)
def test_every_command_beside_a_promise_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    server = start_server(tmp_path / "server")
    shell = Shell(server, "acme", tmp_path / "state")
    shell.environment["AFTERIMAGE_DATA_DIR"] = str(server.data_dir)
    server.key("gone")
    with server.client(shell.environment["AFTERIMAGE_API_KEY"]) as client:
        client.create_collection("shoes", picture_policy="ENCRYPTED_COPY")
        client.insert("shoes", [NewRecord(str(n), image=png(n)) for n in range(1040, 1050)])
        client.create_training_set("shoes")
        assert [r.outcome for r in client.add_examples("shoes", [NewExample("1", "boots", image=png(1))])] == ["added"]
    every = (command for found, _ in PROMISES.values() for command in found)
    commands = list(dict.fromkeys(command for command in every if command.startswith("afterimage ")))
    without_server = [c for c in commands if c.startswith("afterimage keys rewrap")]
    for command in commands:
        if command not in without_server:
            shell.run(*shlex.split(command)[1:])
    assert server.stop() == 0
    for command in without_server:
        shell.run(*shlex.split(command)[1:])
