import random

from service.erasure.traces import _Needles


def test_needles_are_found_at_every_offset_and_nothing_else_is() -> None:
    chance = random.Random(3)
    needles = [chance.randbytes(size) for size in (6, 7, 8, 9, 32, 32, 100)]
    sought = _Needles({needle: str(number) for number, needle in enumerate(needles)})
    for start in range(20):
        for number, needle in enumerate(needles):
            block = bytes(start) + needle + bytes(chance.randrange(9))
            assert list(sought.found_in(block)) == [str(number)], (start, number)
            assert list(sought.found_in(block.replace(needle, needle[:-1]))) == []
    assert list(sought.found_in(b"")) == []


def test_needles_that_begin_alike_are_told_apart() -> None:
    sought = _Needles({b"beginning-one": "one", b"beginning-two": "two"})
    assert list(sought.found_in(b"..beginning-two..")) == ["two"]
