"""Start times of scheduled runs."""

from datetime import UTC, datetime

import pytest

from service.errors import ServiceError
from service.sync.schedule import check_schedule, next_due_ms
from service.sync.source_model import Schedule


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_the_next_time_is_in_the_sources_own_zone_and_late_by_a_tenth_of_the_period_at_most() -> None:
    schedule = Schedule("0 2 * * *", "Europe/Berlin")
    due = next_due_ms(schedule, "any", at("2026-11-24T12:00:00"))
    assert at("2026-11-25T01:00:00") <= due <= at("2026-11-25T03:24:00")
    hourly = {next_due_ms(Schedule("0 * * * *"), f"source-{n}", at("2026-11-24T12:30:00")) for n in range(50)}
    assert len(hourly) == 50
    assert all(at("2026-11-24T13:00:00") <= due <= at("2026-11-24T13:06:00") for due in hourly)


def test_the_delay_of_a_source_is_always_the_same() -> None:
    schedule = Schedule("0 * * * *")
    one, next_ = (next_due_ms(schedule, "s", at(f"2026-11-24T1{h}:30:00")) for h in (2, 3))
    assert next_ - one == 3_600_000


def test_days_when_clocks_change_have_one_run_each() -> None:
    schedule = Schedule("30 2 * * *", "Europe/Berlin")
    due, days = at("2026-10-23T12:00:00"), []
    for _ in range(4):
        due = next_due_ms(schedule, "s", due)
        days.append(datetime.fromtimestamp(due / 1000, UTC).date().isoformat())
    assert days == ["2026-10-24", "2026-10-25", "2026-10-26", "2026-10-27"]


def test_without_a_schedule_nothing_is_due() -> None:
    assert next_due_ms(Schedule(), "s", 0) == 0


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        (Schedule("every hour"), "cron"), (Schedule("* * * * *"), "cron"), (Schedule("*/4 * * * *"), "cron"),
        (Schedule("0 0 31 2 *"), "cron"), (Schedule("0 * * * *", "Mars/Olympus"), "time_zone"),
        (Schedule("0 * * * *", "../../etc/passwd"), "time_zone"),
    ],
)  # fmt: skip
def test_a_schedule_that_makes_no_sense_is_refused(schedule: Schedule, field: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_schedule(schedule)
    assert caught.value.field == f"source.schedule.{field}"


def test_every_five_minutes_is_allowed() -> None:
    check_schedule(Schedule("*/5 * * * *", "Asia/Tokyo"))
    check_schedule(Schedule(""))
