"""The lines of calls: what they say, when they are written, and what comes of them when nobody reads."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from service.runtime import access_log
from service.runtime.access_log import AccessLog
from service.runtime.logs import LogEvent, configure_logs, write_events
from tests.support.manual_clock import ManualClock

FIELDS: dict[str, object] = {"method": "/a/B", "code": "OK", "reason": "", "request_id": "r", "duration_ms": 1.25}


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


async def test_a_line_is_that_of_the_log_with_the_time_of_the_call(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    structlog.get_logger("any").info("call", **FIELDS)
    (plain,) = written(capsys)
    clock = ManualClock(now=1_790_000_000.25)
    log = AccessLog(clock)
    log.note(dict(FIELDS))
    clock.advance(0.1)
    await log.close()
    (line,) = written(capsys)
    assert list(line) == list(plain)
    assert line == {**plain, "logger": access_log.__name__, "timestamp": "2026-09-21T14:13:20.250000Z"}


async def test_lines_are_written_together_and_in_order(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logs("info", "json")
    batches: list[int] = []

    def counted(name: str, events: list[LogEvent]) -> None:
        batches.append(len(events))
        write_events(name, events)

    monkeypatch.setattr(access_log, "write_events", counted)
    log = AccessLog()
    for number in range(5):
        log.note({"request_id": str(number)})
    assert written(capsys) == []
    await log.close()
    assert [line["request_id"] for line in written(capsys)] == list("01234")
    assert batches == [5]


async def test_only_fields_of_the_allow_list_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    log = AccessLog()
    log.note({"method": "/m" * 500, "image": b"PIXELS", "api_key": "af_live_secret", "reason": b"PIXELS"})
    await log.close()
    (line,) = written(capsys)
    assert not {"image", "api_key"} & line.keys()
    assert (len(line["method"]), line["reason"]) == (300, "<6 bytes>")


async def test_the_readable_form_has_the_lines_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "console")
    log = AccessLog()
    log.note(dict(FIELDS))
    await log.close()
    text = capsys.readouterr().err
    assert "call" in text
    assert "request_id=r" in text


async def test_nothing_is_kept_where_the_level_is_higher(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("warning", "json")
    log = AccessLog()
    log.note(dict(FIELDS))
    assert not log._waiting
    await log.close()
    assert written(capsys) == []


async def test_lines_beyond_a_number_are_left_out_and_counted_while_nobody_reads(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logs("info", "json")
    monkeypatch.setattr(access_log, "_MOST_WAITING", 3)
    reads = threading.Event()

    def delayed(name: str, events: list[LogEvent]) -> None:
        reads.wait(20)
        write_events(name, events)

    monkeypatch.setattr(access_log, "write_events", delayed)
    log = AccessLog()
    log.note({"request_id": "first"})
    log._write()  # the thread waits for the reader from now on
    for number in range(5):
        log.note({"request_id": str(number)})
    log._write()
    reads.set()
    await log.close()
    lines = written(capsys)
    assert [line["request_id"] for line in lines if line["event"] == "call"] == ["first", "0", "1", "2"]
    assert lines[-1]["event"] == "the log is read too slowly: 2 calls have no line"
    assert lines[-1]["level"] == "warning"
