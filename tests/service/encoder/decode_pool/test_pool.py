import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

from index import Region
from service.encoder.decode_pool import pool
from service.encoder.decode_pool.pool import Decoders, DecodingLimits
from service.encoder.fair_queue import Lane
from service.encoder.manifest import InputSpec
from service.encoder.preprocess import enough_pixels, to_tensor
from service.errors import Reason, ServiceError
from service.intake.decode import decode
from service.intake.limits import PictureLimits
from tests.support.data.pictures import encode, noise, png
from tests.support.made_pictures import bmps, coloured, gifs, lossy, optional, pngs

SPEC = InputSpec(name="x", size=(32, 48), layout="NCHW", dtype="float32", mean=(0.5, 0.4, 0.3))
SCALED = InputSpec(name="x", size=(32, 32), layout="NHWC", dtype="uint8", decode="scaled", trim="frame")


@contextlib.asynccontextmanager
async def decoders(processes: int = 1, timeout_s: float = 10.0) -> AsyncIterator[Decoders]:
    made = Decoders(DecodingLimits(processes, timeout_s, {"PATH": os.environ["PATH"]}), PictureLimits())
    await made.start()
    try:
        yield made
    finally:
        await made.close()


async def tensor_of(made: Decoders, picture: bytes, region: Region | None = None, spec: InputSpec = SPEC) -> np.ndarray:
    return (await made.decode(picture, region, spec, Lane.INSERT, "tenant")).tensor


async def failure_of(made: Decoders, picture: bytes) -> Reason:
    with pytest.raises(ServiceError) as caught:
        await tensor_of(made, picture)
    return caught.value.reason


async def test_the_tensor_is_that_of_decoding_in_this_process() -> None:
    large = encode(noise(1, 1200, 900), "JPEG", quality=90)
    region = Region(0.1, 0.2, 0.7, 0.9)
    async with decoders(2) as made:
        for picture in (png(1), encode(noise(2), "WEBP"), encode(noise(3), "GIF"), encode(noise(4), "BMP"), large):
            for spec in (SPEC, SCALED):
                for area in (None, region):
                    found = await tensor_of(made, picture, area, spec)
                    here = to_tensor(decode(picture, PictureLimits(), area, enough_pixels(spec)), spec)
                    assert found.dtype == here.dtype
                    assert np.array_equal(found, here)


async def test_every_sub_format_is_decoded_in_the_sandbox_as_in_this_process() -> None:
    limits = PictureLimits(formats=("avif", "heic", "tiff", "jxl"))
    made = Decoders(DecodingLimits(1, 20.0, {"PATH": os.environ["PATH"]}), limits)
    await made.start()
    try:
        for maker in (pngs, bmps, gifs, coloured, lossy, optional):
            for picture in [*maker.all_kinds()][::9]:
                found = await tensor_of(made, picture.content, None, SCALED)
                here = to_tensor(decode(picture.content, limits, None, enough_pixels(SCALED)), SCALED)
                assert np.array_equal(found, here), picture.name
    finally:
        await made.close()


async def test_a_bad_picture_is_refused_with_its_reason_and_costs_no_decoder() -> None:
    async with decoders() as made:
        before = made.pids
        assert await failure_of(made, b"") is Reason.IMAGE_EMPTY
        assert await failure_of(made, b"<html>") is Reason.IMAGE_FORMAT_UNSUPPORTED
        assert await failure_of(made, png(1)[:200]) is Reason.IMAGE_DAMAGED
        assert await failure_of(made, bytes(17 << 20)) is Reason.IMAGE_TOO_LARGE
        assert made.pids == before


async def test_a_picture_on_which_the_decoder_dies_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_MODULE", "tests.support.deadly_decoder")
    async with decoders() as made:
        before = made.pids
        deadly, fine = await asyncio.gather(failure_of(made, png(1) + b"DIE"), tensor_of(made, png(2)))
        assert deadly is Reason.DECODER_FAILED
        assert fine.shape == (3, 32, 48)
        assert made.pids != before


async def test_a_picture_that_takes_too_long_costs_its_decoder_and_no_other_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "_MODULE", "tests.support.deadly_decoder")
    async with decoders(timeout_s=0.5) as made:
        slow, fine = await asyncio.gather(failure_of(made, png(1) + b"HANG"), tensor_of(made, png(2)))
        assert slow is Reason.DECODE_TIMEOUT
        assert fine.shape == (3, 32, 48)


async def test_a_decoder_that_is_killed_or_stopped_is_replaced_and_no_picture_is_lost() -> None:
    async with decoders(2, timeout_s=20.0) as made:
        for _ in range(3):  # no picture is under way at two kills: a second one on the same picture is held against it
            work = asyncio.gather(*(tensor_of(made, png(n)) for n in range(10)))
            await asyncio.sleep(0)
            for pid in made.pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            assert len(await work) == 10


@pytest.fixture
def outside() -> Iterator[Path]:
    """A file that is not there, in a folder where everyone may write."""
    path = Path(tempfile.gettempdir()) / f"afterimage-escape-{uuid.uuid4().hex}"
    yield path
    path.unlink(missing_ok=True)


async def test_a_decoder_can_do_nothing_but_decode(monkeypatch: pytest.MonkeyPatch, outside: Path) -> None:
    monkeypatch.setattr(pool, "_MODULE", "tests.support.deadly_decoder")
    monkeypatch.setenv("AFTERIMAGE_MASTER_KEY", "secret")
    async with decoders() as made:
        missing = [name for name, holds in made.protections.items() if not holds]
        if missing:
            pytest.skip(f"this kernel does not offer: {', '.join(missing)}")
        with pytest.raises(ServiceError) as caught:
            await tensor_of(made, b"ESCAPE" + bytes(outside))
        assert caught.value.message == ""
    assert not outside.exists()


async def test_the_attempts_would_be_noticed_outside_of_the_sandbox(outside: Path) -> None:
    code = "import os, pathlib, sys; from tests.support.deadly_decoder import possible; me = os.getpid()\n"
    code += "found = possible(pathlib.Path(sys.argv[1]))\nprint(found) if os.getpid() == me else None"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, outside,
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "AFTERIMAGE_MASTER_KEY": "x"},
    )  # fmt: skip
    said, _ = await process.communicate()
    for name in ("read a file", "write a file", "list a folder", "open a socket", "start a program", "see settings"):
        assert name in said.decode()


async def test_closing_ends_the_processes() -> None:
    async with decoders(2) as made:
        pids = made.pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
