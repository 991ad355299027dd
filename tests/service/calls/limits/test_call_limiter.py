"""What a call holds of the server: its place, and bytes of its messages and its answer."""

from __future__ import annotations

import pytest

from service.calls.limits.call_limiter import COPIES, CallLimiter, CallLimits, current_lease
from service.errors import Reason, ServiceError
from service.metrics import Metrics

LIMITS = CallLimits(
    calls=8, streams=4, in_flight_bytes=64 << 20, message_bytes=1 << 20, message_s=1.0, idle_s=1.0, send_s=1.0
)
PATH = ("tenant", "key", "connection")
MIB = 1 << 20


@pytest.fixture
def limiter() -> CallLimiter:
    return CallLimiter(LIMITS, Metrics())


def refused(limiter: CallLimiter, what: str) -> float:
    return limiter.metrics.calls_refused.labels(what)._value.get()


def test_calls_and_streams_have_places_of_their_own_which_come_back(limiter: CallLimiter) -> None:
    leases = [limiter.enter(PATH, stream=False) for _ in range(6)]
    with pytest.raises(ServiceError, match="too many concurrent calls"):
        limiter.enter(PATH, stream=False)
    assert limiter.calls.used == len(leases)
    assert limiter.streams.used == 0
    streams = [limiter.enter(PATH, stream=True) for _ in range(3)]
    assert limiter.streams.used == 3
    with pytest.raises(ServiceError, match="too many concurrent streams") as caught:
        limiter.enter(PATH, stream=True)
    assert (caught.value.reason, caught.value.retry_delay_s) == (Reason.OVERLOADED, 0.5)
    assert (refused(limiter, "calls"), refused(limiter, "streams"), refused(limiter, "bytes")) == (1, 1, 0)
    for lease in (*leases, *streams):
        lease.close()
    assert limiter.calls.empty
    assert limiter.streams.empty


def test_the_call_that_is_handled_finds_its_lease(limiter: CallLimiter) -> None:
    lease = limiter.enter(PATH, stream=False)
    assert current_lease() is lease
    other = limiter.enter(PATH, stream=False)
    assert current_lease() is other


def test_bytes_are_counted_while_they_are_held_and_given_back_at_the_end(limiter: CallLimiter) -> None:
    lease = limiter.enter(PATH, stream=False)
    lease.take(5)
    assert lease.try_take(7)
    lease.add(11)
    assert limiter.bytes.used == 23
    assert next(iter(limiter.metrics.in_flight_bytes.collect())).samples[0].value == 23
    lease.give(3)
    assert limiter.bytes.used == 20
    lease.close()
    assert limiter.bytes.empty
    assert limiter.calls.empty


def test_more_bytes_than_the_share_are_refused_and_counted_and_nothing_is_held(limiter: CallLimiter) -> None:
    lease = limiter.enter(PATH, stream=False)
    assert not lease.try_take(LIMITS.in_flight_bytes + 1)
    assert limiter.bytes.used == 0
    lease.add(1)
    with pytest.raises(ServiceError, match="too many bytes") as caught:
        lease.take(LIMITS.in_flight_bytes)
    assert caught.value.reason is Reason.OVERLOADED
    assert refused(limiter, "bytes") == 1
    assert limiter.bytes.used == 1
    lease.close()
    assert limiter.bytes.empty


def test_an_answer_takes_the_place_of_what_was_reserved_for_it(limiter: CallLimiter) -> None:
    lease = limiter.enter(PATH, stream=False)
    lease.reserve(3 * MIB)
    lease.reserve(MIB)
    assert limiter.bytes.used == COPIES * 4 * MIB
    lease.answer(2 * MIB)
    assert limiter.bytes.used == COPIES * 2 * MIB
    lease.answer(MIB)  # a further message of a stream
    assert limiter.bytes.used == COPIES * 3 * MIB
    lease.close()
    assert limiter.bytes.used == 0


def test_a_small_answer_is_sent_whatever_is_in_flight_and_a_large_one_is_not(limiter: CallLimiter) -> None:
    lease = limiter.enter(PATH, stream=False)
    lease.add(LIMITS.in_flight_bytes)
    lease.answer(MIB)
    assert limiter.bytes.used == LIMITS.in_flight_bytes + COPIES * MIB
    with pytest.raises(ServiceError, match="too many bytes"):
        lease.answer(MIB + 1)
    lease.close()
    assert limiter.bytes.used == 0


def test_a_released_peak_is_reported_once(limiter: CallLimiter) -> None:
    lease = limiter.enter(PATH, stream=False)
    lease.take(40 * MIB)
    assert not limiter.peak_was_released()
    lease.give(32 * MIB - 1)
    assert not limiter.peak_was_released()
    lease.give(1)
    assert limiter.peak_was_released()
    assert not limiter.peak_was_released()
    lease.close()
    assert not limiter.peak_was_released()
    again = limiter.enter(PATH, stream=False)
    again.add(33 * MIB)
    again.close()
    assert limiter.peak_was_released()


def test_a_door_comes_to_rest_once_after_the_last_call_has_ended(limiter: CallLimiter) -> None:
    assert not limiter.became_idle()
    call, stream = limiter.enter(PATH, stream=False), limiter.enter(PATH, stream=True)
    call.close()
    assert not limiter.became_idle()
    stream.close()
    assert [limiter.became_idle() for _ in range(2)] == [True, False]


def test_an_answer_is_counted_twice_and_up_to_a_mebibyte_always_sent(limiter: CallLimiter) -> None:
    assert COPIES == 2
    lease = limiter.enter(PATH, stream=False)
    lease.reserve(5)
    assert limiter.bytes.used == 10
    lease.answer(0)
    assert limiter.bytes.used == 0
    lease.answer(3)
    assert limiter.bytes.used == 6
    lease.add(LIMITS.in_flight_bytes)
    for amount, sent in ((MIB - 1, True), (MIB, True), (MIB + 1, False)):
        before = limiter.bytes.used
        if sent:
            lease.answer(amount)
        else:
            with pytest.raises(ServiceError):
                lease.answer(amount)
        assert limiter.bytes.used == before + 2 * amount * sent
    lease.close()
    assert limiter.bytes.empty
