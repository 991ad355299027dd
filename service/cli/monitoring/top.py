"""`afterimage top`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from afterimage.client import AfterimageError, Client, Run
from service.cli.connection import connect
from service.cli.monitoring.figures import figures_of
from service.cli.monitoring.metrics_page import MetricsPage, Reading, url_of
from service.cli.monitoring.screen import Shown, as_json, line, screen
from service.cli.output import CommandError, JsonFlag, console, print_json
from service.config import client_settings, load_settings, read_key_file

_LAST_RUNS = 20


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
        client = stack.enter_context(connect("", None, None)) if client_settings().api_key else None
        frames = _frames(page, client, interval)
        with contextlib.suppress(KeyboardInterrupt):
            if once:
                _show(next(frames), as_json_=json)
            elif json or not console().is_terminal:
                _lines(frames, as_json_=json)
            else:
                _live(frames)


def _frames(page: MetricsPage, client: Client | None, interval_s: float) -> Iterator[Shown]:
    """What to show after each interval. Raises CommandError if the first two readings fail; later ones are noted."""
    before, shown = page.read(collections=True), None
    while True:
        time.sleep(interval_s)
        try:
            after = page.read(collections=True)
        except CommandError as error:
            if shown is None:
                raise
            yield Shown(page.url, shown.figures, note=str(error))
            continue
        shown, before = _shown(page, client, before, after), after
        yield shown


def _shown(page: MetricsPage, client: Client | None, before: Reading, after: Reading) -> Shown:
    runs: list[Run] = []
    note = ""
    if client is not None:
        try:
            runs = [run for run in client.list_runs(limit=_LAST_RUNS) if not run.ended]
        except AfterimageError as error:
            note = f"no runs: {error.message}"
    return Shown(page.url, figures_of(before, after), runs, note)


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
            print(time.strftime("%H:%M:%S"), shown.note or line(shown.figures), flush=True)


def _live(frames: Iterator[Shown]) -> None:
    out = console()
    with Live(console=out, screen=True, auto_refresh=False) as live:
        for shown in frames:
            live.update(screen(shown), refresh=True)
