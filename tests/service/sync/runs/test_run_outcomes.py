"""The outcome of a run for each kind of error."""

from __future__ import annotations

import pytest

from index.types.errors import CollectionNotFound, QuotaExceeded, StoreUnavailable
from service.errors import Reason, ServiceError
from service.sync.feeds.model import FeedError
from service.sync.model import RunState
from service.sync.runs.run_outcomes import MAX_ATTEMPTS, failure, retry_delay_s


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (FeedError("FEED_TRUNCATED", "cut"), RunState.BLOCKED, "FEED_TRUNCATED"),
        (CollectionNotFound("gone"), RunState.FAILED, "COLLECTION_NOT_FOUND"),
        (QuotaExceeded("records", "full"), RunState.FAILED, "QUOTA_EXCEEDED"),
        (StoreUnavailable("disk full"), RunState.FAILED, "STORE_UNAVAILABLE"),
        (ServiceError(Reason.URL_NOT_FOUND, "status 404"), RunState.FAILED, "URL_NOT_FOUND"),
        (KeyError("x"), RunState.FAILED, "INTERNAL"),
    ],
)
def test_an_error_ends_a_run_with_its_reason(error: Exception, state: RunState, reason: str) -> None:
    end = failure(error)
    assert (end.state, end.reason) == (state, reason)
    assert end.message


def test_only_what_may_get_better_is_tried_again_and_not_for_ever() -> None:
    away = ServiceError(Reason.URL_UNREACHABLE, "away", retry_delay_s=30.0)
    assert (retry_delay_s(away, 1) or 0) >= 30.0
    assert retry_delay_s(away, MAX_ATTEMPTS) is None
    assert retry_delay_s(ServiceError(Reason.URL_NOT_FOUND, "404"), 1) is None
    assert retry_delay_s(FeedError("FEED_EMPTY", "empty"), 1) is None
    assert (retry_delay_s(ServiceError(Reason.HOST_BUSY, "busy", retry_delay_s=1e6), 1) or 0) <= 600.0
