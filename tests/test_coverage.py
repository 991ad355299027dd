"""What `make coverage` prints and when it fails; that servers and commands are measured, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.coverage_report import ROOT, Covered, by_package, too_low

FORKING = """
import os
import sys
from pathlib import Path

from service import tiny

pid = os.fork()
if pid == 0:
    os.environ["REGION"] = ""
    tiny.forked()
    os._exit(0)
os.waitpid(pid, 0)
if "again" not in sys.argv:
    tiny.before()
    os.execve(sys.executable, [sys.executable, __file__, "again"], dict(os.environ))
tiny.after()
"""
TINY = """
def forked():
    return 1


def before():
    return 2


def after():
    return 3


def never():
    return 4
"""


def test_packages_are_sums_of_their_files() -> None:
    files = {
        "index/a.py": Covered(10, 5, 2, 1),
        "index/storage/b.py": Covered(10, 10, 0, 0),
        "index/storage/deep/c.py": Covered(6, 3, 2, 2),
        "proto/afterimage/client/d.py": Covered(4, 4, 4, 2),
    }
    packages = by_package(files)
    assert list(packages) == ["afterimage", "afterimage.client", "index", "index.storage"]
    assert packages["index"] == Covered(26, 18, 4, 3)
    assert packages["index.storage"] == Covered(16, 13, 2, 2)
    assert packages["afterimage.client"].percent == 75.0
    assert (Covered().percent, Covered(1, 0, 0, 0).percent) == (100.0, 0.0)


def test_a_package_below_its_floor_or_without_a_measurement_fails() -> None:
    packages = {"index": Covered(100, 95, 0, 0), "service": Covered(1000, 899, 0, 0)}
    assert too_low(packages, {"index": 95, "service": 90, "afterimage.client": 90}) == [
        "service: 89.9 %, its floor is 90 %",
        "afterimage.client: nothing was measured",
    ]


def test_what_forked_and_replaced_processes_run_is_measured(tmp_path: Path) -> None:
    """As warm_start.py forks and a server starts itself again, with the settings of this project."""
    (tmp_path / "service").mkdir()
    (tmp_path / "service/__init__.py").touch()
    (tmp_path / "service/tiny.py").write_text(TINY)
    (tmp_path / "program.py").write_text(FORKING)
    (tmp_path / "build/coverage").mkdir(parents=True)
    settings = (
        (ROOT / "pyproject.toml").read_text().replace('["service", "index", "afterimage"]\nomit', '["service"]\nomit')
    )
    (tmp_path / "pyproject.toml").write_text(settings)
    environment = {n: v for n, v in os.environ.items() if not n.startswith("COVERAGE_")}
    command = [sys.executable, "-m", "coverage"]
    for arguments in (["run", "program.py"], ["combine", "-q"], ["report", "-m", "--include=service/tiny.py"]):
        done = subprocess.run(
            [*command, *arguments], cwd=tmp_path, env={**environment, "PYTHONPATH": str(tmp_path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if "tiny.py" in line)
    never = 1 + TINY.splitlines().index("    return 4")
    assert line.split()[-1] == str(never), done.stdout
