"""Connections without a key: how many may be open, and which are closed."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from service.calls.limits.failures import address_of
from service.calls.limits.keyless import KeylessCalls
from service.metrics import Metrics
from service.rpc.transport.strangers import Strangers
from tests.support.manual_clock import ManualClock


def strangers(most_connections: int = 20) -> tuple[Strangers, KeylessCalls, ManualClock]:
    clock = ManualClock()
    keyless = KeylessCalls(lambda peer: None, clock)
    return Strangers(keyless, most_connections, Metrics()), keyless, clock


def peers(address: str, count: int, first: int = 1) -> list[str]:
    return [f"ipv4:{address}:{first + n}" for n in range(count)]


def test_half_of_the_connections_may_be_without_a_key_and_the_oldest_of_the_address_with_most_go() -> None:
    limit, _, _ = strangers()
    assert limit.unwanted(peers("192.0.2.1", 10)) == set()
    more = [*peers("192.0.2.1", 10), *peers("192.0.2.2", 2)]
    assert limit.unwanted(more) == set(peers("192.0.2.1", 2))


def test_a_connection_on_which_a_key_was_used_stays_however_long_ago_that_was() -> None:
    limit, keyless, clock = strangers()
    known = peers("192.0.2.1", 15)
    assert limit.unwanted(known[:10]) == set()
    for peer in known:
        keyless.note_valid_key(peer)
    assert limit.unwanted(known) == set()
    clock.advance(3600)
    late = peers("192.0.2.9", 12)
    assert limit.unwanted([*known, *late]) == set(late[:2])
    assert limit.unwanted(known) == set()


def test_an_address_without_a_key_that_opens_connections_without_end_is_refused_them() -> None:
    limit, keyless, _ = strangers(10_000)
    many = peers("192.0.2.1", 700)
    unwanted = limit.unwanted(many)
    assert 90 <= len(unwanted) <= 100  # 600 at once
    assert limit.unwanted([p for p in many if p not in unwanted]) == set()  # each is counted once
    keyless.note_valid_key("ipv4:192.0.2.1:1")
    assert limit.unwanted(peers("192.0.2.1", 100, 5000)) == set()  # the address of somebody with a key


@given(st.lists(st.integers(1, 5), max_size=60), st.integers(2, 40))
def test_what_is_closed_is_no_more_than_needed_and_comes_from_where_most_are(of: list[int], most: int) -> None:
    limit, _, _ = strangers(2 * most)
    opened = [f"ipv4:192.0.2.{address}:{1000 + n}" for n, address in enumerate(of)]
    unwanted = limit.unwanted(opened)
    assert len(unwanted) == max(0, len(opened) - most)
    kept = Counter(address_of(p) for p in opened if p not in unwanted)
    for address, lost in Counter(map(address_of, unwanted)).items():
        assert lost
        assert kept[address] >= max(kept.values()) - 1
        mine = [p for p in opened if address_of(p) == address]
        assert [p for p in mine if p in unwanted] == mine[:lost]
