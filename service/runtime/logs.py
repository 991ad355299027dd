"""Structured logs that cannot contain pictures, keys or query strings.

Only fields of an allow-list are written. Text is cut at 300 characters, and bytes are never written. Of an exception
only the type and the code locations are written, not the message.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

ALLOWED_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "logger", "request_id", "method", "code", "reason", "duration_ms", "key_id",
        "listen", "http", "metrics", "version", "encoder", "redis", "signal", "records", "exception", "places",
        "seconds", "pid", "run_id", "record_id", "training_id", "source_id", "state", "worker", "transport",
        "trace_id",
    }
)  # fmt: skip
_MAX_TEXT = 300


class LogEvent(NamedTuple):
    """A line of the level info. at_s: its time, seconds since 1970."""

    at_s: float
    event: str
    fields: Mapping[str, object]


class _Lines(logging.StreamHandler[TextIO]):
    """Writes log records, and many events at once."""

    def __init__(self, line: Callable[[EventDict], str]) -> None:
        super().__init__(sys.stderr)
        self._line = line

    def write_events(self, logger: str, events: Sequence[LogEvent]) -> None:
        text = "".join([f"{self._line(_event_dict(logger, e))}\n" for e in events])
        with self.lock or contextlib.nullcontext():
            self.stream.write(text)
            self.flush()


def configure_logs(level: str, style: str) -> None:
    """Sends all logs of the process to stderr. `style`: "json" or "console"."""
    renderer: Any = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        keep_allowed_fields,
    ]
    # What events hold needs no fallback of structlog's, which takes longer than the line.
    handler = _Lines(json.dumps if style == "json" else lambda event: str(renderer(None, "info", event)))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def write_events(logger: str, events: Sequence[LogEvent]) -> None:
    """Writes lines of one logger at once, as if each had been logged. Takes a fifth of the time. For threads."""
    handler = next((h for h in logging.getLogger().handlers if isinstance(h, _Lines)), None)
    if handler is not None:
        handler.write_events(logger, events)


def _event_dict(logger: str, event: LogEvent) -> EventDict:
    at = datetime.fromtimestamp(event.at_s, UTC).isoformat().replace("+00:00", "Z")
    kept = {n: v[:_MAX_TEXT] if type(v) is str else _plain(v) for n, v in event.fields.items() if n in ALLOWED_FIELDS}
    return {**kept, "event": event.event, "level": "info", "logger": logger, "timestamp": at}


def log_setting_warnings(warnings: Iterable[str]) -> None:
    """Logs a warning for each deprecated setting name and each unknown variable."""
    for message in warnings:
        logging.getLogger(__name__).warning(message)


def keep_allowed_fields(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Drops fields that are not allowed, shortens text, and reduces exceptions to type and locations."""
    record = event.get("_record")
    error = event.pop("exc_info", None) or (record.exc_info if record is not None else None)
    if error:
        failure = (
            error[1] if isinstance(error, tuple) else error if isinstance(error, BaseException) else sys.exc_info()[1]
        )
        if failure is not None:
            event["exception"] = type(failure).__name__
            event["places"] = [f"{f.filename}:{f.lineno}" for f in traceback.extract_tb(failure.__traceback__)][-8:]
    if record is not None:
        record.exc_info = record.exc_text = None
    kept = {n: _plain(v) for n, v in event.items() if n in ALLOWED_FIELDS}
    return {**kept, **{n: v for n, v in event.items() if n in ("_record", "_from_structlog")}}


def _plain(value: object) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, int | float | bool) or value is None:
        return value
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return str(value)[:_MAX_TEXT]
