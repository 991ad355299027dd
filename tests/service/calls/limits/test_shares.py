"""Places that are divided fairly."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.calls.limits.shares import Shares

OWNERS = st.tuples(st.sampled_from("abc"), st.sampled_from("kl"), st.sampled_from("xyz"))


def filled(shares: Shares, path: tuple[str, ...]) -> int:
    """How many places one owner gets when it takes all that it can."""
    count = 0
    while shares.take(path):
        count += 1
    return count


def test_an_owner_alone_gets_most_and_leaves_a_part_for_others() -> None:
    assert filled(Shares(128), ("tenant",)) == 96


def test_one_who_comes_late_gets_as_much_as_is_kept_whatever_others_hold() -> None:
    shares = Shares(128)
    filled(shares, ("hog", "k", "x"))
    assert filled(shares, ("late", "k", "x")) == 128 - shares_of_hog()


def shares_of_hog() -> int:
    return filled(Shares(128), ("hog", "k", "x"))


def test_within_a_tenant_one_key_and_one_connection_leave_room_for_the_others() -> None:
    shares = Shares(128)
    assert filled(shares, ("t", "k", "x")) < 96
    assert shares.take(("t", "k", "y"))
    filled(shares, ("t", "k", "y"))
    assert shares.take(("t", "l", "z"))


def test_what_a_hog_gives_back_goes_to_those_who_have_less_until_all_have_the_same() -> None:
    shares = Shares(100)
    held = {"hog": filled(shares, ("hog",)), "b": 0, "c": 0}
    for _ in range(200):
        for name in ("hog", "b", "c"):  # each always wants more, and ends a call now and then
            held[name] += shares.take((name,))
        busiest = max(held, key=lambda n: held[n])
        shares.give((busiest,))
        held[busiest] -= 1
    assert max(held.values()) - min(held.values()) <= 2


@given(st.integers(0, 40), st.lists(st.tuples(OWNERS, st.integers(0, 9), st.sampled_from(["take", "add", "give"]))))
def test_it_counts_as_a_plain_table_does_and_never_takes_beyond_its_capacity(capacity: int, steps: list[Any]) -> None:
    shares, held = Shares(capacity), Counter[tuple[str, ...]]()
    for path, amount, step in steps:
        before = sum(held.values())
        if step == "take":
            taken = shares.take(path, amount)
            assert not taken or before + amount <= capacity or not amount
            if not taken:  # only where it would be more than is left, or more than an equal share of what is kept
                assert amount + before > capacity - capacity // 2 or amount + before_of(held, path) > capacity // 2 - 8
            held[path] += amount if taken else 0
        elif step == "add":
            shares.add(path, amount)
            held[path] += amount
        else:
            amount = min(amount, held[path])
            shares.give(path, amount)
            held[path] -= amount
        assert shares.used == sum(held.values())
    for path, amount in held.items():
        shares.give(path, amount)
    assert shares.used == 0
    assert shares.empty


def before_of(held: Counter[Any], path: tuple[str, ...]) -> int:
    return max(sum(n for p, n in held.items() if p[: d + 1] == path[: d + 1]) for d in range(3))


@pytest.mark.parametrize("before", [1, 2, 3, 4, 5])
def test_one_who_comes_may_take_an_equal_share_of_all_at_once_and_no_more(before: int) -> None:
    """Where only the part is left that is kept for those who hold little."""
    share, shares = 60 // (before + 1), Shares(60)
    for number in range(before):
        shares.add((f"{number}",), (60 - share) // before)
    left = 60 - shares.used
    assert left >= share
    if left > share:
        assert not shares.take(("late",), left)
    assert shares.take(("late",), share)
    one = Shares(60)
    one.add(("a",), 1)
    assert not one.take(("late",), 59)
    assert not one.take(("late",), 46)
    assert one.take(("late",), 30)


class Table:
    """The rule of `Shares`, over a plain table of who holds what."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.held = capacity, Counter[tuple[str, ...]]()

    def below(self, path: tuple[str, ...]) -> int:
        return sum(n for p, n in self.held.items() if p[: len(path)] == path)

    def takes(self, path: tuple[str, ...], amount: int) -> bool:
        capacity = self.capacity
        for depth in range(len(path)):
            above, mine, kept = path[:depth], path[: depth + 1], capacity // (8 if depth else 4)
            free = capacity - self.below(above) - amount
            owners = {p[: depth + 1] for p, n in self.held.items() if n and p[:depth] == above}
            share = (self.below(mine) + amount) * len(owners | {mine}) <= capacity
            if free < 0 or (free < kept and not share):
                return False
            if mine not in owners:
                return True  # nobody below holds anything yet
            capacity -= kept
        return self.below(path) + amount <= capacity


@given(st.integers(0, 60), st.lists(st.tuples(OWNERS, st.integers(0, 12), st.booleans()), max_size=60))
def test_it_takes_exactly_what_the_rule_allows(capacity: int, steps: list[Any]) -> None:
    shares, table = Shares(capacity), Table(capacity)
    for path, amount, give in steps:
        if give:
            amount = min(amount, table.held[path])
            shares.give(path, amount)
            table.held[path] -= amount
            continue
        wanted = table.takes(path, amount)
        assert shares.take(path, amount) == wanted, (path, amount, table.held)
        table.held[path] += amount if wanted else 0
        assert shares.used == table.below(())


def test_one_is_taken_and_given_where_no_amount_is_said() -> None:
    shares = Shares(4)
    assert shares.take(("a",))
    assert shares.used == 1
    assert not shares.empty
    shares.give(("a",))
    assert shares.empty


def test_equal_shares_may_be_taken_to_the_last_place() -> None:
    for capacity, owners in ((100, 2), (90, 3), (100, 4), (8, 2), (64, 8)):
        shares = Shares(capacity)
        for _ in range(capacity // owners):
            assert all(shares.take((f"owner {n}",)) for n in range(owners))
        assert shares.used == capacity
        assert not shares.take(("owner 0",))
        assert not shares.take(("another",))
        shares.give(("owner 0",), 1)
        assert not shares.take(("owner 1",))  # it would have more than its share
        assert shares.take(("owner 0",))


def test_at_each_level_a_part_is_kept() -> None:
    shares = Shares(64)
    assert filled(shares, ("t",)) == 48
    shares.give(("t",), 48)
    assert filled(shares, ("t", "k")) == 42  # an eighth of 48 is kept for other keys
    shares.give(("t", "k"), 42)
    assert filled(shares, ("t", "k", "x")) == 37  # and of 42 five for other connections
    assert filled(shares, ("t", "k", "y")) == 5
    assert filled(shares, ("t", "l", "z")) == 6
    assert filled(shares, ("u", "k", "x")) == 16
    assert not shares.take(("t",), 2)
    assert shares.take((), 0)


def test_what_is_kept_goes_to_owners_with_less_than_an_equal_share() -> None:
    for large, small in ((70, 25), (60, 35), (95, 0)):
        shares = Shares(128)
        assert shares.take(("large",), large)
        assert shares.take(("small",), small)
        assert shares.take(("large",))  # leaves exactly what is kept
        assert shares.used == 96
        assert shares.take(("large",)) is (large + 2 <= 64)
        assert shares.take(("small",)) is True
        assert shares.take(("new",)) is True


def test_what_nobody_below_holds_is_held_all_the_same() -> None:
    shares = Shares(8)
    assert shares.take((), 5)
    assert not shares.empty
    assert not shares.take((), 4)
    shares.give((), 5)
    assert shares.empty
