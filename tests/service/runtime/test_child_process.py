"""Child processes end with their parent, when they are told to, and leave nothing behind."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import service
from service.runtime.child_process import (
    Program,
    Streams,
    end_child,
    python_module,
    run_child,
    run_command,
    start_child,
)

SLEEP = ("/bin/sleep", "1000")
PATIENCE_S = 30.0
# A process that starts a child, says its number, and waits to be killed.
PARENT = """
import asyncio, sys
from service.runtime.child_process import Program, start_child, run_child
program = Program(("/bin/sh", "-c", "echo $$ >&3; exec sleep 1000"), {}, files=(3,))
if sys.argv[1] == "start":
    child = start_child(program)
    child.wait()
else:
    asyncio.run(run_child(program, b""))
"""


def ends(pid: int) -> bool:
    """Whether a process that is no child of this one ends within the patience of the tests."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], PATIENCE_S)[0])
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("how", ["start", "run"])
def test_a_child_ends_with_a_parent_that_is_killed(how: str) -> None:
    reads, writes = os.pipe()
    command = [sys.executable, "-c", f"import os; os.dup2({writes}, 3, True)\n{PARENT}", how]
    with open(reads, "rb", 0) as said, subprocess.Popen(command, pass_fds=(writes,)) as parent:
        os.close(writes)
        pid = int(said.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.send_signal(signal.SIGKILL)
    assert ends(pid)


def test_a_child_has_the_environment_and_the_priority_it_is_given_and_a_group_of_its_own() -> None:
    code = "import os; print(sorted(os.environ), os.environ['A'], os.nice(0), os.getpgid(0) == os.getpid())"
    program = Program((sys.executable, "-ISc", code), {"A": "b"}, lower_priority=3)
    child = start_child(program, Streams(stdout=subprocess.PIPE))
    output, _ = child.communicate()
    names = ["A", *(n for n in ("LC_CTYPE",) if n.encode() in output)]  # Python itself may add it
    assert output.decode().strip() == f"{names} b {os.nice(0) + 3} True"


def test_a_child_inherits_only_the_files_that_it_is_given() -> None:
    given, other = os.memfd_create("given"), os.memfd_create("other")
    os.set_inheritable(other, True)
    code = "import os; print([f.name for f in os.scandir('/proc/self/fd')])"
    child = start_child(Program((sys.executable, "-ISc", code), {}, files=(given,)), Streams(stdout=subprocess.PIPE))
    output, _ = child.communicate()
    os.close(given)
    os.close(other)
    assert f"'{given}'" in output.decode()
    assert f"'{other}'" not in output.decode()


def test_a_program_that_does_not_exist_exits_with_one() -> None:
    child = start_child(Program(("/no/such/program",), {}))
    assert child.wait(PATIENCE_S) == 1


async def test_an_ended_child_is_reaped() -> None:
    child = start_child(Program(SLEEP, {}))
    await end_child(child)
    assert child.returncode == -signal.SIGKILL
    await end_child(child)  # again does nothing


@pytest.mark.parametrize(("trap", "status"), [("exit 7", 7), ("", -signal.SIGKILL)])
async def test_a_child_with_grace_may_end_by_itself_and_is_killed_if_it_does_not(trap: str, status: int) -> None:
    script = f"trap '{trap}' TERM; echo ready; while :; do sleep 0.01; done"
    child = start_child(
        Program(("/bin/sh", "-c", script), {"PATH": os.environ["PATH"]}), Streams(stdout=subprocess.PIPE)
    )
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"ready\n"
        await end_child(child, grace_s=PATIENCE_S if trap else 0.2)
    assert child.returncode == status


async def test_what_a_child_is_given_comes_back() -> None:
    given = os.urandom(1 << 20)  # more than a pipe holds
    assert await run_child(Program(("/bin/cat",), {}), given) == (0, given)


async def test_a_child_that_reads_nothing_and_fails_has_its_status() -> None:
    assert await run_child(Program(("/bin/sh", "-c", "echo no; exit 3"), {}), bytes(1 << 20)) == (3, b"no\n")


async def test_a_cancellation_kills_the_child() -> None:
    reads, writes = os.pipe()
    program = Program(("/bin/sh", "-c", f"echo $$ > /proc/self/fd/{writes}; exec sleep 1000"), {}, files=(writes,))
    work = asyncio.create_task(run_child(program, b""))
    with open(reads, "rb", 0) as said:
        pid = int(await asyncio.to_thread(said.readline))
    os.close(writes)
    work.cancel()
    await asyncio.wait({work})
    assert not Path(f"/proc/{pid}").exists()


def test_an_operators_command_has_the_environment_and_says_what_it_says() -> None:
    script = "echo $PATH; echo bad >&2; exit 4"
    assert run_command(["/bin/sh", "-c", script], PATIENCE_S) == (4, os.environ["PATH"] + "\n", "bad\n")


def test_a_command_whose_own_child_holds_its_output_is_given_up_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 s"):
        run_command(["/bin/sh", "-c", "sleep 20; true"], 0.2)  # sleep is a child of the shell
    assert time.monotonic() - began < 15.0


def test_a_module_is_found_wherever_the_server_was_started(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text("raise SystemExit(9)")
    done = subprocess.run(python_module("service.errors"), cwd=tmp_path, capture_output=True)
    assert done.returncode == 0


STARTERS = {
    "Popen", "call", "check_call", "check_output", "create_subprocess_exec", "create_subprocess_shell", "fork",
    "forkpty", "posix_spawn", "posix_spawnp", "popen", "system", "spawnv", "spawnve", "Process", "Pool",
    "ProcessPoolExecutor",
}  # fmt: skip


def starts_of_processes(source: str) -> list[int]:
    """The lines that call a function of the standard library that starts a process."""
    if not re.search(r"subprocess|multiprocessing|ProcessPool|\bos\b", source):
        return []
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    named = [(node.lineno, ast.unparse(node.func).split(".")) for node in calls]
    return [
        line for line, names in named
        if (names[-1] in STARTERS and names[0] in {"subprocess", "os", "asyncio", "multiprocessing", names[-1]})
        or names == ["subprocess", "run"]
    ]  # fmt: skip


def test_only_one_module_starts_processes() -> None:
    root = Path(service.__file__).parent
    found = {str(p.relative_to(root)) for p in root.rglob("*.py") if starts_of_processes(p.read_text())}
    made_before = ("encoder/builtin/", "detector/builtin/train/")  # make the models, outside of the service
    built = {name for name in found if name.startswith(made_before)}
    assert found - built == {"runtime/child_process.py"}


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess\nsubprocess.run(['true'])", "from subprocess import Popen\nPopen(['true'])",
        "import asyncio, subprocess\nasyncio.create_subprocess_exec('true')", "import os\nos.fork()",
    ],
)  # fmt: skip
def test_a_start_of_a_process_is_seen(source: str) -> None:
    assert starts_of_processes(source)
