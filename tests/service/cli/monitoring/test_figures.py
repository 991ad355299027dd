"""Rates and percentiles of two readings."""

from __future__ import annotations

import math
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cli.monitoring.figures import figures_of, quantile
from service.cli.monitoring.metrics_page import Reading, parsed
from service.cli.output import CommandError
from service.metrics import Metrics

BOUNDS = (0.001, 0.01, 0.1, 1.0, math.inf)
SEARCH = "/afterimage.v1.SearchService/Search"


def reading(metrics: Metrics, at_s: float) -> Reading:
    metrics.build.labels("9").set(1)
    return parsed(metrics.text(), at_s)


@given(st.lists(st.floats(0.0001, 5), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_of_the_exact_one(values: list[float], share: float) -> None:
    buckets = {bound: float(sum(v <= bound for v in values)) for bound in BOUNDS}
    exact = sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]
    at = bisect_left(BOUNDS, exact)
    found = quantile(buckets, share)
    assert found is not None
    if math.isinf(BOUNDS[at]):
        assert found == BOUNDS[at - 1]
    else:
        assert (BOUNDS[at - 1] if at else 0.0) - 1e-9 <= found <= BOUNDS[at] + 1e-9


@pytest.mark.parametrize("buckets", [{}, {math.inf: 0.0}, {0.1: 0.0, math.inf: 0.0}])
def test_nothing_has_no_quantile(buckets: dict[float, float]) -> None:
    assert quantile(buckets, 0.5) is None


def test_a_quantile_is_spread_evenly_within_its_bucket() -> None:
    assert quantile({0.1: 0.0, 0.2: 10.0, math.inf: 10.0}, 0.5) == pytest.approx(0.15)


def test_calls_between_two_readings_have_rates_and_percentiles_and_those_before_do_not_count() -> None:
    metrics = Metrics()

    def call(code: str, seconds: float, method: str = SEARCH) -> None:
        metrics.calls.labels(method, code, "grpc").inc()
        metrics.call_seconds.labels(method, "grpc").observe(seconds)

    for _ in range(100):
        call("OK", 20.0)
        call("OK", 20.0, "/afterimage.v1.RecordService/GetRecords")
    before = reading(metrics, 10.0)
    for _ in range(18):
        call("OK", 0.004)
    for _ in range(2):
        call("NOT_FOUND", 0.004)
    metrics.picture_seconds.labels("model").observe(0.3)
    metrics.encode_queue.set(7)
    found = figures_of(before, reading(metrics, 12.0))
    (only,) = found.calls
    assert (only.name, only.per_s, only.failed_per_s) == ("SearchService/Search", 10, 1)
    assert only.mean_ms == pytest.approx(4)
    assert only.p50_ms == pytest.approx(3.75)
    assert only.p99_ms is not None
    assert 2.5 < only.p99_ms <= 5
    assert {s.name: s.per_s for s in found.stages} == {"fetch": 0, "queue": 0, "decode": 0, "model": 0.5, "store": 0}
    assert (found.now["encode_queue"], found.version, found.seconds) == (7, "9", 2)


def test_a_server_that_was_started_anew_has_no_negative_rates() -> None:
    old, new = Metrics(), Metrics()
    old.calls_refused.labels("calls").inc(1000)
    new.calls_refused.labels("calls").inc(4)
    old.call_seconds.labels(SEARCH, "grpc").observe(1)
    new.call_seconds.labels(SEARCH, "grpc").observe(1)
    found = figures_of(reading(old, 0.0), reading(new, 2.0))
    assert found.rates["refused_calls"] == 2
    assert min(found.rates.values()) >= 0


@pytest.mark.parametrize("text", [b"", b"<html>not found</html>", b"up 1\n", b'a{b="c\n', b"\xff\xfe", b"x y z\n"])
def test_a_page_without_metrics_of_this_service_says_so(text: bytes) -> None:
    with pytest.raises(CommandError, match="no metrics of Afterimage"):
        parsed(text, 0.0)
