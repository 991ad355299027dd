"""Ten thousand damaged pictures: each is decoded or rejected with a reason, and nothing else happens."""

import asyncio
import os
from collections import Counter

import numpy as np
import psutil
import pytest

from service.encoder.decode_pool.pool import Decoders, DecodingLimits
from service.encoder.fair_queue import Lane
from service.encoder.manifest import InputSpec
from service.errors import ServiceError
from service.intake.limits import PictureLimits
from service.intake.probe import probe
from tests.fuzz.mutations import mutated, seeds

SPEC = InputSpec(name="x", size=(32, 32), layout="NHWC", dtype="uint8", decode="scaled", trim="frame")
AT_ONCE, GROWTH = 8, 256 * 2**20


async def outcome(decoders: Decoders, picture: bytes) -> str:
    try:
        tensor = (await decoders.decode(picture, None, SPEC, Lane.INSERT, "tenant")).tensor
    except ServiceError as error:
        return error.reason.name
    assert tensor.shape == (32, 32, 3)
    assert tensor.dtype == np.uint8
    return "decoded"


@pytest.mark.parametrize("pictures", [3_000, pytest.param(10_000, marks=pytest.mark.long)])
async def test_thousands_of_damaged_pictures_are_decoded_or_refused_and_memory_stays(pictures: int) -> None:
    limits = PictureLimits(max_pixels=4_000_000)
    decoders = Decoders(DecodingLimits(2, 10.0, {"PATH": os.environ["PATH"]}), limits)
    await decoders.start()
    try:
        for picture in seeds():
            assert await outcome(decoders, picture) == "decoded"
        first, before = decoders.pids, [psutil.Process(p).memory_info().rss for p in decoders.pids]
        outcomes: Counter[str] = Counter()
        waiting = mutated(pictures, seed=20261124)

        async def take() -> None:
            for picture in waiting:
                outcomes[await outcome(decoders, picture)] += 1

        await asyncio.gather(*(take() for _ in range(AT_ONCE)))
        assert sum(outcomes.values()) == pictures
        assert outcomes["decoded"] > pictures // 20
        assert outcomes["IMAGE_DAMAGED"] > pictures // 20
        assert set(outcomes) <= {
            "decoded", "IMAGE_DAMAGED", "IMAGE_FORMAT_UNSUPPORTED", "IMAGE_TOO_MANY_PIXELS", "IMAGE_RATIO_TOO_EXTREME",
            "IMAGE_EMPTY", "DECODER_FAILED",
        }  # fmt: skip
        assert outcomes["DECODER_FAILED"] < 10
        if decoders.pids == first:
            after = [psutil.Process(p).memory_info().rss for p in decoders.pids]
            assert all(a - b < GROWTH for a, b in zip(after, before, strict=True))
    finally:
        await decoders.close()


def test_every_cut_of_every_format_is_probed_or_refused() -> None:
    for picture in seeds():
        refused: Counter[str] = Counter()
        for length in range(min(len(picture), 1500)):
            try:
                probe(picture[:length])
            except ServiceError as error:
                refused[error.reason.name] += 1
        assert refused["IMAGE_DAMAGED"] > 0
        assert set(refused) == {"IMAGE_DAMAGED", "IMAGE_FORMAT_UNSUPPORTED"}


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_the_same_pictures(seed: int) -> None:
    assert list(mutated(50, seed)) == list(mutated(50, seed))
