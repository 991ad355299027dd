from service.encoder.fair_queue import FairQueue, Lane


def drained(queue: FairQueue[str]) -> list[str]:
    return list(iter(queue.take, None))


def test_tenants_take_turns_however_many_pictures_one_has_sent() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(5):
        queue.put(f"a{number}", Lane.INSERT, "a")
    queue.put("b0", Lane.INSERT, "b")
    queue.put("c0", Lane.INSERT, "c")
    assert drained(queue) == ["a0", "b0", "c0", "a1", "a2", "a3", "a4"]


def test_a_tenant_that_comes_late_does_not_wait_for_the_queue_of_another() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(100):
        queue.put(f"a{number}", Lane.INSERT, "a")
    assert queue.take() == "a0"
    queue.put("b0", Lane.INSERT, "b")
    assert [queue.take(), queue.take()] == ["a1", "b0"]


def test_searches_go_first_and_every_fourth_turn_is_an_insert() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(6):
        queue.put(f"s{number}", Lane.SEARCH, "a")
        queue.put(f"i{number}", Lane.INSERT, "a")
    assert drained(queue) == ["s0", "s1", "s2", "i0", "s3", "s4", "s5", "i1", "i2", "i3", "i4", "i5"]


def test_an_empty_queue_gives_nothing_and_knows_its_size() -> None:
    queue: FairQueue[str] = FairQueue()
    assert queue.take() is None
    queue.put("x", Lane.SEARCH, "a")
    assert len(queue) == 1
    assert queue.take() == "x"
    assert len(queue) == 0
