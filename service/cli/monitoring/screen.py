"""Shows figures: tables on a terminal, a line where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from afterimage.client import Run
from service.cli.monitoring.figures import Figures

_MOST_ROWS = 12
_FIRST_COLUMN = 34  # characters, where the terminal has them


@dataclass(frozen=True)
class Shown:
    """What is shown at a time.

    - `runs`: of the tenant whose key was given.
    - `note`: why something is missing.
    - `stale`: the figures are earlier ones, since the server does not answer.
    """

    url: str
    figures: Figures
    runs: Sequence[Run] = ()
    note: str = ""
    stale: bool = False


def screen(shown: Shown) -> Group:
    """All tables. What is missing is said first: a low terminal shows the beginning."""
    parts: list[Any] = [_title(shown), Text(shown.note, style="bold red" if shown.stale else "")]
    parts += [_calls(shown.figures), Text(), _stages(shown.figures), Text(), _state(shown.figures)]
    if shown.figures.collections:
        parts += [Text(), _collections(shown.figures)]
    if shown.runs:
        parts += [Text(), _runs(shown.runs)]
    return Group(*parts)


def line(shown: Shown) -> str:
    """The most important figures in one line; why there are none, if the server does not answer."""
    if shown.stale:
        return shown.note
    figures = shown.figures
    now, rates = figures.now, figures.rates
    calls, failed = sum(c.per_s for c in figures.calls), sum(c.failed_per_s for c in figures.calls)
    pictures = next((s.per_s for s in figures.stages if s.name == "model"), 0.0)
    slowest = max((c.p99_ms for c in figures.calls if c.p99_ms is not None), default=0.0)
    return (
        f"{_ready(figures)}  calls {calls:.1f}/s  failed {failed:.1f}/s  slowest p99 {slowest:.0f} ms  "
        f"pictures {pictures:.1f}/s  queue {now['encode_queue']:.0f}  refused {rates['refused_calls']:.1f}/s  "
        f"collections {now['collections_open']:.0f}  runs {now['runs_working']:.0f}  cores {rates['cores']:.2f}"
    )


def as_json(shown: Shown) -> dict[str, Any]:
    """The figures for scripts."""
    runs = [
        {"run_id": r.run_id, "state": r.state, "collection": r.collection, "progress": _progress(r)}
        for r in shown.runs
    ]  # fmt: skip
    return {**asdict(shown.figures), "runs": runs, "note": shown.note, "stale": shown.stale}


def _ready(figures: Figures) -> str:
    return "ready" if figures.now["ready"] else "NOT READY"


def _title(shown: Shown) -> Text:
    figures = shown.figures
    stopped = f"  {figures.now['tenants_stopped']:.0f} tenants stopped" if figures.now["tenants_stopped"] else ""
    redis = "" if figures.now["redis_up"] else "  Redis does not answer"
    ready = "NO ANSWER" if shown.stale else _ready(figures)
    return Text(
        f"Afterimage {figures.version}  {shown.url}  {ready}{stopped}{redis}  "
        f"cores {figures.rates['cores']:.2f}  memory {_bytes(figures.now['memory_bytes'])}  "
        f"over {figures.seconds:.1f} s",
        style="bold",
    )


def _calls(figures: Figures) -> Table:
    table = _table("calls", "/s", "failed/s", "p50 ms", "p99 ms")
    for call in figures.calls[:_MOST_ROWS]:
        table.add_row(call.name, _rate(call.per_s), _rate(call.failed_per_s), _ms(call.p50_ms), _ms(call.p99_ms))
    if not figures.calls:
        table.add_row("none", "", "", "", "")
    elif len(figures.calls) > _MOST_ROWS:
        table.add_row(f"and {len(figures.calls) - _MOST_ROWS} more methods", "", "", "", "")
    return table


def _stages(figures: Figures) -> Table:
    table = _table("pictures, by stage", "/s", "mean ms", "p50 ms", "p99 ms")
    for stage in figures.stages:
        table.add_row(stage.name, _rate(stage.per_s), _ms(stage.mean_ms), _ms(stage.p50_ms), _ms(stage.p99_ms))
    return table


def _state(figures: Figures) -> Table:
    now, rates = figures.now, figures.rates
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in (
        ("queues", f"{now['calls_in_progress']:.0f} calls", f"{now['encode_queue']:.0f} pictures",
         f"{_bytes(now['in_flight_bytes'])} in flight", f"{now['http_connections']:.0f} HTTP connections"),
        ("refused", f"{_rate(rates['refused_calls'])} calls/s", f"{_rate(rates['refused_pictures'])} pictures/s",
         f"{_rate(rates['quota_refusals'])}/s by quotas", f"{_rate(rates['wrong_keys'])} wrong keys/s"),
        ("collections", f"{now['collections_open']:.0f} in memory", f"{now['rows']:.0f} rows",
         _bytes(now["index_bytes"]), f"lowest recall {now['recall_lowest']:.3f}"),
        ("runs", f"{now['runs_working']:.0f} in progress", f"{_rate(rates['records_written'])} records/s by calls",
         f"oldest success {now['oldest_success_s'] / 3600:.1f} h ago", f"{now['open_files']:.0f} open files"),
    ):  # fmt: skip
        table.add_row(Text(row[0], style="bold"), ", ".join(row[1:]))
    return table


def _collections(figures: Figures) -> Table:
    table = _table("collections in memory, by id", "records", "recall")
    for one in figures.collections[:_MOST_ROWS]:
        table.add_row(one.collection, f"{one.records}", "" if one.recall is None else f"{one.recall:.3f}")
    if len(figures.collections) > _MOST_ROWS:
        table.add_row(f"and {len(figures.collections) - _MOST_ROWS} more", "", "")
    return table


def _runs(runs: Sequence[Run]) -> Table:
    table = _table("runs of this tenant", "state", "done", "of", "/s")
    for run in runs[:_MOST_ROWS]:
        progress = _progress(run)
        told = [f"{progress[name]:.0f}" if name in progress else "" for name in ("done", "total", "per_s")]
        table.add_row(f"{run.collection} {run.run_id}", run.state, *told)
    return table


def _progress(run: Run) -> dict[str, float]:
    progress = run.progress
    if progress is None:
        return {}
    return {"done": progress.done_count, "total": progress.total_count, "per_s": progress.per_second}


def _table(first: str, *others: str) -> Table:
    """A narrow terminal takes its room from the first column alone, so that no digit is lost."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column(first.ljust(_FIRST_COLUMN), overflow="ellipsis")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True, min_width=7)
    return table


def _rate(per_s: float) -> str:
    return "0" if per_s == 0 else f"{per_s:.1f}" if per_s >= 0.1 else f"{per_s:.2g}"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _bytes(value: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
