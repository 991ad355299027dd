"""Computes when the next run of a source begins."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from service.errors import Reason, ServiceError
from service.runtime.clock import now_ms
from service.sync.source_model import Schedule

SHORTEST = timedelta(minutes=5)
LEAST_DISTANCE_S = SHORTEST.total_seconds() * 0.9  # minimum distance between scheduled runs, even if clocks change
_CHECKED_TIMES = 50
_JITTER = 0.1


def check_schedule(schedule: Schedule) -> None:
    """Raises ServiceError (ARGUMENT_INVALID) if the schedule is invalid or too frequent."""
    times = _times(schedule, datetime.fromtimestamp(now_ms() / 1000, UTC))
    if any(later - earlier < SHORTEST for earlier, later in pairwise(islice(times, _CHECKED_TIMES))):
        message = "the schedule has less than five minutes between runs"
        raise ServiceError(Reason.ARGUMENT_INVALID, message, field="source.schedule.cron")


def next_due_ms(schedule: Schedule, source_id: str, now_ms: int) -> int:
    """The next time after now, in milliseconds since 1970; 0 if the source has no schedule.

    It is delayed by up to a tenth of the period. The delay is constant for each source, so that shops are not all
    fetched at the full hour.
    """
    if not schedule.cron:
        return 0
    times = list(islice(_times(schedule, datetime.fromtimestamp(now_ms / 1000, UTC)), 2))
    if not times:
        return 0
    period = (times[1] - times[0]).total_seconds() if len(times) > 1 else 0.0
    share = int.from_bytes(hashlib.sha256(source_id.encode()).digest()[:4], "big") / 2**32
    return int((times[0].timestamp() + share * _JITTER * min(period, 86_400)) * 1000)


def _times(schedule: Schedule, after: datetime) -> CronSim | list[datetime]:
    if not schedule.cron:
        return []
    try:
        return CronSim(schedule.cron, after.astimezone(ZoneInfo(schedule.time_zone or "UTC")))
    except CronSimError as error:
        message = f"{schedule.cron[:80]!r} is not valid cron syntax, such as `15 * * * *`: {error}"
        raise ServiceError(Reason.ARGUMENT_INVALID, message, field="source.schedule.cron") from None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"unknown time zone {schedule.time_zone[:80]!r}; use one such as Europe/Berlin"
        raise ServiceError(Reason.ARGUMENT_INVALID, message, field="source.schedule.time_zone") from None
