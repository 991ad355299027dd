"""Every command ends with an exit code and one line with the reason. Commands that only read leave no trace."""

from __future__ import annotations

import functools
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import typer

from afterimage.client import Client
from service.cli import connection, main
from tests.support.servers.server import COMMAND, NO_RETRY, NOT_MEASURED, Server
from tests.support.servers.shell import Shell

Command = tuple[str, ...]
# They take the place of this process, or make what is not there, as they should.
_NOT_HERE = {("serve",), ("worker",)}
_MAKES = {("tenants", "create")}


def leaves(command: Any, path: Command = ()) -> Iterator[tuple[Command, Any]]:
    for name, child in command.commands.items():
        if hasattr(child, "commands"):
            yield from leaves(child, (*path, name))
        else:
            yield (*path, name), child


COMMANDS = {path: c for path, c in leaves(typer.main.get_command(main.application())) if path not in _NOT_HERE}
REMOTE = [path for path, command in COMMANDS.items() if "--target" in {o for p in command.params for o in p.opts}]
ON_DATA = [path for path, command in COMMANDS.items() if "--data-dir" in {o for p in command.params for o in p.opts}]


def arguments(path: Command, folder: Path) -> list[str]:
    """The command with a valid value for each required argument."""
    given = list(path)
    for parameter in COMMANDS[path].params:
        if not parameter.required:
            continue
        kind = str(parameter.type_descriptor.annotation)
        value = str(folder / "missing") if "Path" in kind else "x" if "str" in kind else "1"
        kind_of_value = parameter.type_descriptor.annotation
        if isinstance(kind_of_value, type) and issubclass(kind_of_value, StrEnum):
            value = next(iter(kind_of_value))
        given += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    more = {("search",): ["--id", "1"], ("insert",): [str(folder)], ("records", "delete"): ["1"],
            ("erase", "records"): ["--record-id", "1"], ("collections", "pictures"): ["discard"]}  # fmt: skip
    return (given[:-1] if path == ("collections", "pictures") else given) + more.get(path, [])


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a command in this process. Returns the exit code and its stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(connection, "Client", functools.partial(Client, retry=NO_RETRY))
    for name, value in NOT_MEASURED.items():
        monkeypatch.setenv(name, value)

    def run_(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["afterimage", *arguments])
        code: object = 0
        try:
            main.run()
        except SystemExit as ended:
            code = ended.code or 0
        return int(str(code)), capsys.readouterr().err

    return run_


def is_one_line(said: str) -> bool:
    return said.startswith("error: ") and said.count("\n") == 1 and "Traceback" not in said


@pytest.mark.parametrize("path", REMOTE, ids=" ".join)
def test_a_server_that_is_not_there_is_said_in_one_line(
    path: Command, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AFTERIMAGE_API_KEY", "af_live_x")
    code, said = run(*arguments(path, tmp_path), "--target", "127.0.0.1:1")
    assert code in (1, 2), said
    assert is_one_line(said), said


@pytest.mark.parametrize(
    ("key", "options", "said"),
    [
        ("", ("--target", "127.0.0.1:1"), "no API key"),
        ("käse", ("--target", "127.0.0.1:1"), "invalid character"),
        ("a b", ("--target", "127.0.0.1:1"), "invalid character"),
        ("x", ("--target", "http://127.0.0.1:1"), "without http://"),
        ("x", ("--target", "localhost"), "such as localhost:50051"),
        ("x", ("--target", "127.0.0.1:many"), "HOST:PORT"),
        ("x", ("--target", "127.0.0.1:1", "--ca-file", __file__), "no PEM certificate"),
        ("x", ("--target", "127.0.0.1:1", "--ca-file", "/none"), "/none: No such file"),
        ("x", ("--target", "127.0.0.1:1", "--api-key-file", sys.executable), "not a text file"),
    ],
)
def test_what_cannot_reach_any_server_is_named(
    key: str, options: tuple[str, ...], said: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERIMAGE_API_KEY", key)
    code, line = run("collections", "list", *options)
    assert (code in (1, 2), is_one_line(line)) == (True, True), line
    assert said in line


@pytest.mark.parametrize("path", [p for p in ON_DATA if p not in _MAKES], ids=" ".join)
def test_an_empty_directory_stays_empty(path: Command, run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "data"
    empty.mkdir()
    evidence = tmp_path / "missing"
    evidence.write_text('{"strings": [], "vectors": []}')
    code, said = run(*arguments(path, tmp_path), "--data-dir", str(empty))
    assert path == ("doctor",) or (code == 1 and is_one_line(said) and "is not a data directory" in said), said
    assert list(empty.iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "missing"]


def test_a_setting_that_is_malformed_or_unknown_is_said_by_every_command_that_reads_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERIMAGE_MAX_BATCH_SIZE", "many")
    monkeypatch.setenv("AFTERIMAGE_LISSEN", "x")
    for arguments_ in (["tenants", "list"], ["encoders", "list"], ["doctor"]):
        code, said = run(*arguments_)
        warning, error = said.splitlines()
        assert (code, "did you mean AFTERIMAGE_LISTEN?" in warning) == (1, True)
        assert error.startswith("error: max_batch_size: 'many', from AFTERIMAGE_MAX_BATCH_SIZE in the environment")


def test_a_master_key_of_another_server_is_said_to_be_one(run: Run, tmp_path: Path) -> None:
    for name in ("one", "other"):
        assert run("tenants", "create", "acme", "--data-dir", name)[0] == 0
    Path("one.master-key").write_bytes(Path("other.master-key").read_bytes())
    code, said = run("tenants", "list", "--data-dir", "one")
    assert (code, is_one_line(said)) == (1, True), said
    assert "one.master-key does not open" in said
    assert "it belongs to another server" in said


def test_an_api_key_of_another_server_is_said_to_be_one(server: Server, tmp_path: Path) -> None:
    elsewhere = Shell(None, "", tmp_path, data_dir=tmp_path / "data")
    elsewhere.run("tenants", "create", "acme", *elsewhere.data)
    key = elsewhere.run("keys", "create", "acme", "--scopes", "search", *elsewhere.data).strip()
    elsewhere.environment |= {"AFTERIMAGE_API_KEY": key, "AFTERIMAGE_TARGET": server.target}
    done = elsewhere.done("collections", "list")
    assert (done.returncode, is_one_line(done.stderr)) == (1, True)
    assert "belongs to another server" in done.stderr
    elsewhere.environment["AFTERIMAGE_API_KEY"] = key[:-1]
    assert "the API key is incomplete" in elsewhere.done("collections", "list").stderr


def test_shell_completion_can_be_installed(tmp_path: Path) -> None:
    shell = Shell(None, "", tmp_path, data_dir=tmp_path)
    shell.environment["HOME"] = str(tmp_path)
    installed = f"{shlex.join([*COMMAND, '--install-completion'])}; exit $?"  # the shell that runs it is looked for
    subprocess.run(["bash", "-c", installed], env=shell.environment, check=True, capture_output=True, timeout=110)
    assert "afterimage" in (tmp_path / ".bashrc").read_text()
    shell.environment |= {"_AFTERIMAGE_COMPLETE": "complete_bash", "COMP_WORDS": "afterimage ten", "COMP_CWORD": "1"}
    assert shell.run().split() == ["tenants"]
