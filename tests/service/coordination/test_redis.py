import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.coordination.client import Coordinator
from service.coordination.embedded import EmbeddedRedis, find_redis_server, packaged_redis_server, socket_path
from service.errors import SettingError
from tests.support.needs import REDIS_REMEDY, missing


def installed(kind: str) -> Path:
    """A redis-server of the system (7.x in CI), or the 6.2 that a package brings."""
    found = shutil.which("redis-server") if kind == "system" else packaged_redis_server()
    if found is None:
        missing(f"the {kind} redis-server", REDIS_REMEDY if kind == "system" else "make install, on x86-64 Linux")
    return Path(str(found))


@pytest.fixture(params=["packaged", "system"])
async def embedded(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[EmbeddedRedis]:
    redis = EmbeddedRedis(tmp_path / "redis", installed(request.param))
    await redis.start()
    yield redis
    await redis.stop()


async def test_an_embedded_redis_is_a_real_one_with_the_right_settings(embedded: EmbeddedRedis) -> None:
    coordinator = Coordinator(embedded.url)
    facts = await coordinator.check()
    assert tuple(int(p) for p in facts.version.split(".")[:2]) >= (6, 2)
    assert (facts.maxmemory_policy, facts.append_only) == ("noeviction", True)
    await coordinator.close()


async def test_a_server_makes_itself_known_to_others(embedded: EmbeddedRedis) -> None:
    one, other = Coordinator(embedded.url), Coordinator(embedded.url)
    await one.announce("n1", "127.0.0.1:1", "0.1.0")
    async with asyncio.timeout(5):
        while not (nodes := await other.nodes()):
            await asyncio.sleep(0.01)
    assert nodes[0]["listen"] == "127.0.0.1:1"
    await one.close()
    await other.close()


async def test_what_redis_holds_survives_a_clean_stop(tmp_path: Path) -> None:
    first = EmbeddedRedis(tmp_path / "redis")
    await first.start()
    client = Coordinator(first.url)
    await client._redis.set("k", "v")
    await client.close()
    await first.stop()
    second = EmbeddedRedis(tmp_path / "redis")
    await second.start()
    client = Coordinator(second.url)
    assert await client._redis.get("k") == "v"
    await client.close()
    await second.stop()


async def test_an_evicting_redis_is_refused_with_the_remedy(embedded: EmbeddedRedis) -> None:
    coordinator = Coordinator(embedded.url)
    await coordinator._redis.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(SettingError, match="set it to noeviction"):
        await coordinator.check()
    await coordinator.close()


async def test_a_redis_that_is_away_is_said_so(tmp_path: Path) -> None:
    coordinator = Coordinator(f"unix://{tmp_path}/none.sock")
    assert not await coordinator.healthy()
    with pytest.raises(SettingError, match="does not answer"):
        await coordinator.check()
    await coordinator.close()
    with pytest.raises(SettingError, match="redis_url"):
        Coordinator("http://nonsense")


async def test_a_binary_that_does_not_start_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="did not start"):
        await EmbeddedRedis(tmp_path / "redis", Path("/bin/false")).start()


def test_the_embedded_redis_ends_when_its_server_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio,sys,pathlib\n"
        "from service.coordination.embedded import EmbeddedRedis\n"
        "async def main():\n"
        "    r=EmbeddedRedis(pathlib.Path(sys.argv[1])); await r.start(); print(r._process.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    descriptor = os.pidfd_open(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    import select

    assert select.select([descriptor], [], [], 10)[0], "redis-server outlived its parent"
    os.close(descriptor)


async def test_a_restart_waits_for_the_redis_of_a_killed_server(tmp_path: Path) -> None:
    earlier, later = EmbeddedRedis(tmp_path / "redis"), EmbeddedRedis(tmp_path / "redis")
    await earlier.start()
    assert earlier._process is not None
    earlier._process.send_signal(signal.SIGSTOP)
    earlier._process.send_signal(signal.SIGTERM)  # as the kernel does when its server has ended; it takes a while
    starting = asyncio.create_task(later.start())
    done, _ = await asyncio.wait({starting}, timeout=0.5)
    assert not done, "both write to the same files"
    earlier._process.send_signal(signal.SIGCONT)
    await starting
    assert earlier._process.wait(10) is not None
    assert await later._ask() == b"+PONG\r\n"  # its socket was not removed by the earlier one
    await later.stop()


def test_a_long_path_gets_a_socket_elsewhere(tmp_path: Path) -> None:
    assert socket_path(tmp_path) == tmp_path / "redis.sock"
    assert len(str(socket_path(tmp_path / ("x" * 120)))) < 100
    assert find_redis_server() is not None
