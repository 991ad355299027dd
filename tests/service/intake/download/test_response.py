"""Limits of a body, and pauses that a host requests."""

import email.utils

import pytest

from service.intake.download.response import BodyMeter, retry_after_s

MIB = 1 << 20
DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0), ("30", 30.0), ("9999", 9999.0), ("9999999", DAY_S), ("9" * 400, DAY_S), ("", 60.0), ("soon", 60.0),
        ("-5", 60.0), ("\u0663", 60.0),
    ],
)  # fmt: skip
def test_a_pause_is_as_long_as_is_asked_for_and_a_minute_where_that_is_unclear(header: str, seconds: float) -> None:
    assert retry_after_s(header, 0.0) == seconds


def test_a_pause_may_end_at_a_date() -> None:
    now = 1_790_000_000.0
    assert retry_after_s(email.utils.formatdate(now + 90, usegmt=True), now) == 90.0
    assert retry_after_s(email.utils.formatdate(now - 90, usegmt=True), now) == 1.0


def test_what_is_inflated_may_grow_a_hundredfold_and_small_things_more() -> None:
    meter = BodyMeter(1 << 30, True)
    assert meter.add(bytes(16 * MIB), 1)
    assert not meter.add(b"x", 1)
    meter = BodyMeter(1 << 30, True)
    assert meter.add(bytes(20_000_000), 200_000)
    assert not meter.add(b"x", 200_000)
    plain = BodyMeter(10, False)
    assert plain.add(b"", 1)
    assert plain.add(b"1234567890", 1)
    assert not plain.add(b"x", 1)


def test_others_have_the_event_loop_after_each_mebibyte() -> None:
    meter = BodyMeter(1 << 30, False)
    due = []
    for _ in range(8):
        meter.add(bytes(MIB // 2), 0)
        due.append(meter.should_yield())
    assert due == [False, True] * 4
