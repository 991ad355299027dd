"""`afterimage top`, run as a person and as a script do."""

from __future__ import annotations

import http.server
import io
import os
import pty
import signal
import subprocess
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from afterimage.client import AfterimageError, DeadlineExceeded, NewRecord, PermissionDenied, Run, Unavailable
from service.cli.monitoring.figures import CallFigures, CollectionFigures, Duration, Figures
from service.cli.monitoring.metrics_page import MetricsPage, url_of
from service.cli.monitoring.screen import Shown, line, screen
from service.cli.monitoring.top import ActiveRuns, frames_of
from service.cli.output import CommandError
from service.config import load_settings
from service.errors import SettingError
from service.metrics import Metrics
from service.tenancy.apikeys import Scope
from tests.support.data.pictures import png
from tests.support.servers.server import COMMAND, Server
from tests.support.servers.shell import Shell
from tests.support.servers.tls import make_certificates


@pytest.mark.parametrize(
    ("given", "settings", "url"),
    [
        ("", {}, "http://127.0.0.1:50080/metrics"), ("", {"http": "127.0.0.1:1"}, "http://127.0.0.1:1/metrics"),
        ("", {"http": "127.0.0.1:1", "metrics": "0.0.0.0:2"}, "http://127.0.0.1:2/metrics"),
        ("", {"metrics": "[::]:2"}, "http://[::1]:2/metrics"), ("h:3", {"metrics": "h:2"}, "http://h:3/metrics"),
        ("https://h.example", {}, "https://h.example/metrics"), ("http://h/m", {}, "http://h/m"),
    ],
)  # fmt: skip
def test_the_metrics_are_where_the_option_or_the_settings_say(given: str, settings: dict[str, str], url: str) -> None:
    assert url_of(given, load_settings(settings).settings) == url


def test_a_port_with_tls_is_asked_over_https(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    given = {"http": "0.0.0.0:1", "tls_cert": str(made.server_cert), "tls_key": str(made.server_key)}
    assert url_of("", load_settings(given).settings) == "https://127.0.0.1:1/metrics"


@pytest.mark.parametrize("given", ["x", "ftp://h/metrics", "http://", "h:99999"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises((CommandError, SettingError), match="--url"):
        url_of(given, load_settings({}).settings)


def test_one_look_shows_every_table(server: Server, shell: Shell, tenant_name: str) -> None:
    with server.client(server.key(tenant_name)) as client:
        client.create_collection("top")
        client.insert("top", [NewRecord("1", image=png(1))])
    text = shell.run("top", "--url", server.http, "--once", "--interval", "0.2")
    for part in ("ready", "calls", "p99 ms", "pictures, by stage", "decode", "queues", "in memory", "runs"):
        assert part in text, text
    found = shell.json("top", "--url", f"http://{server.http}/metrics", "--once", "--interval", "0.2")
    assert found["now"]["ready"] == 1
    assert found["now"]["collections_open"] >= 1
    assert [s["name"] for s in found["stages"]] == ["fetch", "queue", "decode", "model", "store"]
    assert 1 in [c["records"] for c in found["collections"]]
    assert (found["runs"], found["note"]) == ([], "")


def test_a_key_without_the_scope_leaves_out_the_runs_and_says_so(
    server: Server, shell: Shell, tenant_name: str
) -> None:

    shell.environment["AFTERIMAGE_API_KEY"] = server.key(tenant_name, [Scope.SEARCH])
    found = shell.json("top", "--url", server.http, "--once", "--interval", "0.2")
    assert "no runs: " in found["note"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--url", "127.0.0.1:1"), 1, "does not answer"), (("--url", "nonsense"), 1, "HOST:PORT"),
        (("--interval", "0"), 2, "interval"), (("--token-file", "/none"), 1, "/none"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_with_an_exit_code(
    shell: Shell, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = shell.done("top", "--once", *arguments)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_terminal_each_interval_has_a_line_until_it_is_interrupted(server: Server, shell: Shell) -> None:
    command = [*COMMAND, "top", "--url", server.http, "--interval", "0.2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=shell.environment)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    process.stdout.close()
    assert all("ready  calls " in line for line in lines), lines


def figures(number: float, name: str = "SomeVeryLongNameOfAMethodOfTheAPI") -> Figures:
    """Everything that can be shown, with this number wherever one can be."""
    stage = Duration("decode", number, number, number, number)
    metrics = defaultdict[str, float](lambda: number)
    call = CallFigures(name, number, number, number, number, number)
    return Figures(2.0, "0.1.0", (call,), (stage,), (CollectionFigures("3f2a", int(number), 0.5),), metrics, metrics)


@pytest.mark.parametrize("width", [44, 60, 80, 120])
def test_a_narrow_terminal_loses_no_digit(width: int) -> None:
    out = Console(width=width, file=io.StringIO(), record=True)
    out.print(screen(Shown("http://127.0.0.1:50090/metrics", figures(123456.7))))
    text = out.export_text()
    assert max(map(len, text.splitlines())) <= width
    (call,) = (row for row in text.splitlines() if row.startswith("Some"))
    (stage,) = (row for row in text.splitlines() if row.startswith("decode"))
    assert call.split()[1:] == ["123456.7", "123456.7", "123457", "123457"]
    assert stage.split()[1:] == ["123456.7", "123457", "123457", "123457"]


def test_a_server_that_does_not_answer_is_said_above_the_figures() -> None:
    out = Console(width=80, file=io.StringIO(), record=True)
    out.print(screen(Shown("http://h/metrics", figures(1.0), note="h does not answer", stale=True)))
    beginning, _, _ = out.export_text().partition("calls")
    assert "NO ANSWER" in beginning
    assert "h does not answer" in beginning


class Page(http.server.BaseHTTPRequestHandler):
    """Metrics that can be read twice."""

    left = 2

    def do_GET(self) -> None:
        Page.left -= 1
        metrics = Metrics()
        metrics.build.labels("9").set(1)
        body = metrics.text() if Page.left >= 0 else b""
        self.send_response(200 if body else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_server_that_no_longer_answers_is_waited_for() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        page = MetricsPage(f"http://127.0.0.1:{pages.server_port}/metrics")
        go_on = iter([True, True, True, False])
        first, *rest = frames_of(page, ActiveRuns(None), lambda: next(go_on))
        pages.shutdown()
    assert "NOT READY" in line(first)
    assert ["answers 503" in line(shown) for shown in rest] == [True, True]
    assert all(shown.figures == first.figures for shown in rest)


class Refusing:
    """A client that may not list runs, or cannot."""

    def __init__(self, error: AfterimageError) -> None:
        self.asked, self._error = 0, error

    def list_runs(self, limit: int) -> list[Run]:
        self.asked += 1
        raise self._error


def test_a_key_that_may_not_list_runs_is_asked_once() -> None:
    client: Any = Refusing(PermissionDenied("scope sync is missing"))
    runs = ActiveRuns(client)
    assert [runs.active(), runs.active(), client.asked] == [[], [], 1]
    assert runs.note == "no runs: scope sync is missing"


@pytest.mark.parametrize("error", [Unavailable("gone"), DeadlineExceeded("slow")])
def test_a_server_that_does_not_list_runs_now_is_asked_again(error: AfterimageError) -> None:
    client: Any = Refusing(error)
    runs = ActiveRuns(client)
    assert [runs.active(), runs.active(), client.asked] == [[], [], 2]


def test_runs_that_cannot_be_listed_hold_up_neither_the_figures_nor_the_end(server: Server, shell: Shell) -> None:
    command = [*COMMAND, "top", "--url", server.http, "--interval", "0.2"]
    environment = {**shell.environment, "AFTERIMAGE_API_KEY": server.key("top"), "AFTERIMAGE_TARGET": "127.0.0.1:1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert "ready  calls " in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0  # the default deadline of a call is longer
    process.stdout.close()


def test_a_terminal_gets_a_screen_that_is_taken_away_at_the_end(server: Server, shell: Shell) -> None:
    mine, its = pty.openpty()
    environment = {**shell.environment, "TERM": "xterm", "COLUMNS": "120", "LINES": "50"}
    process = subprocess.Popen(
        [*COMMAND, "top", "--url", server.http, "--interval", "0.2"], stdin=its, stdout=its, stderr=its, env=environment
    )
    os.close(its)
    seen = b""
    while seen.count(b"pictures, by stage") < 2:
        seen += os.read(mine, 65536)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            part = os.read(mine, 65536)
        except OSError:
            break
        seen += part
        if not part:
            break
    os.close(mine)
    assert process.wait(30) == 0
    assert seen.count(b"\x1b[?1049h") == seen.count(b"\x1b[?1049l") == 1
    assert b"Traceback" not in seen
