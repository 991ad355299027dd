"""What results say about where they were measured."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench import environment
from bench.environment import clean_commit, commit, describe_machine, write_result


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
    (tmp_path / "bench" / "results" / "old.json").write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "RESULTS", tmp_path / "bench" / "results")
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
