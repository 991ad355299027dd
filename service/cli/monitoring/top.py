"""`afterimage top`."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live
from rich.text import Text

from afterimage.client import AfterimageError, Client, DeadlineExceeded, Run, Unavailable
from service.cli.connection import connect
from service.cli.monitoring.figures import figures_of
from service.cli.monitoring.metrics_page import MetricsPage, url_of
from service.cli.monitoring.screen import Shown, as_json, line, screen
from service.cli.output import CommandError, JsonFlag, console, print_json
from service.config import client_settings, load_settings, read_key_file

_LAST_RUNS = 20
_RUNS_S = 2.0  # for the list of runs: a server that does not answer must not hold up the screen, or its end


def top(
    url: Annotated[str, typer.Option(help="HOST:PORT or URL of the metrics. Default: where the settings say.")] = "",
    token_file: Annotated[Path | None, typer.Option(help="File with the token of metrics_token_file.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="CA certificate of an https URL, PEM.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with the server's settings.")] = None,
    interval: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between two readings.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show all tables once, after one interval.")] = False,
    json: JsonFlag = False,
) -> None:
    """Show what a server does: calls, stages, queues, collections in memory, runs. Ctrl-C ends it.

    Rates and percentiles are those of the last interval. Without a terminal, each interval has a line. Runs are those
    of the tenant whose key is in AFTERIMAGE_API_KEY. The exit code is 1 if the metrics cannot be read.

    Example: afterimage top --url 127.0.0.1:50090 --interval 5
    Example: afterimage top --once --json
    """
    settings = load_settings({}, config).settings
    token = token_file or settings.metrics_token_file
    page = MetricsPage(url_of(url, settings), read_key_file(token) if token else "", ca_file)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(connect("", None, None, _RUNS_S)) if client_settings().api_key else None
        stopping = stack.enter_context(_stopping())
        frames = frames_of(page, ActiveRuns(client), lambda: not stopping.wait(interval))
        if once:
            for shown in islice(frames, 1):
                _show(shown, as_json_=json)
        elif json or not console().is_terminal:
            _lines(frames, as_json_=json)
        else:
            _live(frames)


def frames_of(page: MetricsPage, runs: ActiveRuns, wait: Callable[[], bool]) -> Iterator[Shown]:
    """What to show after each interval. Raises CommandError if the first two readings fail; later ones are noted.

    `wait`: lets an interval pass; returns whether to go on.
    """
    before, shown = page.read(collections=True), None
    while wait():
        try:
            after = page.read(collections=True)
        except CommandError as error:
            if shown is None:
                raise
            yield Shown(page.url, shown.figures, note=str(error), stale=True)
            continue
        active = runs.active()
        shown, before = Shown(page.url, figures_of(before, after), active, runs.note), after
        yield shown


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets. A second one ends the command at once.

    An exception instead would be lost where it meets a destructor.
    """
    stop = threading.Event()

    def ask(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class ActiveRuns:
    """The runs of a tenant. `note`: why there are none."""

    def __init__(self, client: Client | None) -> None:
        """`client`: None: no key was given."""
        self._client, self.note = client, ""

    def active(self) -> list[Run]:
        """Those that have not ended. A key that may not ask is asked for nothing again."""
        if self._client is None:
            return []
        try:
            found = [run for run in self._client.list_runs(limit=_LAST_RUNS) if not run.ended]
        except AfterimageError as error:
            self.note = f"no runs: {error.message}"
            if not isinstance(error, Unavailable | DeadlineExceeded):
                self._client = None
            return []
        self.note = ""
        return found


def _show(shown: Shown, *, as_json_: bool) -> None:
    if as_json_:
        print_json(as_json(shown))
    else:
        console().print(screen(shown))


def _lines(frames: Iterator[Shown], *, as_json_: bool) -> None:
    for shown in frames:
        if as_json_:
            print_json(as_json(shown))
        else:
            print(time.strftime("%H:%M:%S"), line(shown), flush=True)


def _live(frames: Iterator[Shown]) -> None:
    out = console()
    with Live(Text("Two readings are needed …"), console=out, screen=True, auto_refresh=False) as live:
        live.refresh()
        for shown in frames:
            live.update(screen(shown), refresh=True)
