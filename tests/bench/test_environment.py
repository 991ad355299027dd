"""What results say about where they were measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import environment
from bench.environment import CHANGES, clean_commit, command, commit, describe_machine, write_result


def test_the_machine_is_described_with_the_versions_that_are_installed() -> None:
    found = describe_machine()
    assert found["cores"] >= 1
    assert found["packages"]["afterimage-server"][0].isdigit()
    assert all(found["packages"].values())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a file and a result, in the place of this one."""
    (tmp_path / "bench" / "results").mkdir(parents=True)
    (tmp_path / "code.py").write_text("1\n")
    (tmp_path / ".gitignore").write_text("elsewhere\n")
    (tmp_path / "bench" / "results" / "old.json").write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "RESULTS", tmp_path / "bench" / "results")
    monkeypatch.setattr(environment, "DIRTY", tmp_path / "elsewhere")
    for name in ("code.py", ".gitignore"):
        os.utime(tmp_path / name, (0, 0))  # older than this process
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first")):
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=n@localhost", *arguments], check=True)
    return tmp_path


def test_a_measurement_of_files_that_differ_from_the_commit_is_refused(project: Path) -> None:
    (project / "bench" / "results" / "old.json").write_text("[]\n")  # results may differ
    assert clean_commit() == commit()
    (project / "code.py").write_text("2\n")
    with pytest.raises(SystemExit, match="files differ"):
        clean_commit()


def test_a_result_is_not_written_if_the_files_changed_meanwhile(project: Path) -> None:
    measured_at = clean_commit()
    assert write_result("new", {"one": 1}, measured_at).exists()
    (project / "code.py").write_text("2\n")
    with pytest.raises(SystemExit, match="nothing is written"):
        write_result("other", {"one": 1}, measured_at)
    assert not (project / "bench" / "results" / "other.json").exists()


def test_a_result_names_commit_cleanness_command_and_machine(project: Path) -> None:
    path = write_result("new", {"one": 1, "clean": "of another"})
    assert path == project / "bench" / "results" / "new.json"
    found = json.loads(path.read_text())
    assert (found["machine"]["commit"], found["clean"], found["command"]) == (commit(), True, command())
    assert found["one"] == 1


def test_a_result_of_changed_files_is_written_elsewhere_with_one_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def written() -> tuple[Path, bool, str]:
        path = write_result("new", {})
        return path, json.loads(path.read_text())["clean"], capsys.readouterr().err

    elsewhere = project / "elsewhere" / "new.json"
    (project / "code.py").write_text("2\n")
    path, clean, told = written()
    assert (path, clean, told.count("\n")) == (elsewhere, False, 1)
    assert "files differ from commit" in told
    (project / "code.py").write_text("1\n")  # as committed, but other while this process ran
    path, clean, told = written()
    assert (path, clean, told.count("\n")) == (elsewhere, False, 1)
    assert "code.py was written while the measurement ran" in told
    os.utime(project / "code.py", (0, 0))
    assert written() == (project / "bench" / "results" / "new.json", True, "")
    (project / "code2.py").write_text("1\n")
    assert commit().endswith(CHANGES), "a file that git does not know may be read too"
    assert written()[0] == elsewhere


def test_without_git_nothing_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "DIRTY", tmp_path / "elsewhere")
    assert write_result("new", {}) == tmp_path / "elsewhere" / "new.json"


def test_the_command_is_that_of_the_module_with_its_options(tmp_path: Path) -> None:
    package = tmp_path / "some"
    package.mkdir()
    (package / "__init__.py").touch()
    code = "from bench.environment import command\nprint(command())\n"
    (package / "__main__.py").write_text(code)
    (package / "one.py").write_text(code)
    root = str(Path(__file__).parents[2])
    for module in ("some", "some.one"):
        ran = [sys.executable, "-m", module, "--rows", "a b"]
        done = subprocess.run(
            ran, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=True
        )
        assert done.stdout == f".venv/bin/python -m {module} --rows 'a b'\n"
