"""`make run`, with a part of the catalogue to save time."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.support.servers.server import adopt, clean_environment


def test_the_demo_ends_its_server_where_it_is_told_to_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.demo", "--serve", "--folder", str(tmp_path / "demo")]
    demo = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.PIPE, env=clean_environment(), start_new_session=True,
    )  # fmt: skip
    adopt(demo)
    assert demo.stdout is not None
    assert demo.stderr is not None
    assert "is ready" in demo.stdout.readline()
    started = psutil.Process(demo.pid).children(recursive=True)
    assert any("serve" in process.cmdline() for process in started)
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(60) == 128 + signal.SIGTERM
    assert "Traceback" not in demo.stderr.read()
    assert not psutil.wait_procs(started, 10)[1]
