"""A server in asyncio's debug mode whose event loop is watched, from its start to the end of its stop.

`python -m tests.support.servers.watched_server REPORT DATA_DIR`; what was found goes to the file REPORT, as JSON.
"""

from __future__ import annotations

import json
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

LIMIT_S = 0.005


def main(report: Path, data_dir: Path) -> None:
    """Serves, as `afterimage serve` does."""
    from tests.support.servers.loop_watch import LoopWatch

    slower = 4 if "coverage" in sys.modules else 1  # it counts lines and branches with every step
    watch = LoopWatch(slower * LIMIT_S)
    watch.install()
    import asyncio

    from service import lifecycle
    from service.composition import run
    from service.config import load_settings
    from service.runtime.logs import configure_logs

    start, stop = lifecycle.Lifecycle.start, lifecycle.Lifecycle.stop

    async def watched_start(self: lifecycle.Lifecycle) -> lifecycle.Addresses:
        watch.begin()
        return await start(self)

    async def watched_stop(self: lifecycle.Lifecycle) -> None:
        await stop(self)
        found = watch.end()
        report.write_text(json.dumps({
            "faults": [asdict(f) for f in found], "callbacks": watch.callbacks, "slowest_ms": watch.slowest_s * 1000,
            "longest_collection_ms": watch.longest_collection_s * 1000, "elsewhere": watch.elsewhere,
        }))  # fmt: skip

    lifecycle.Lifecycle.start = watched_start  # type: ignore[method-assign]
    lifecycle.Lifecycle.stop = watched_stop  # type: ignore[method-assign]
    for name in ("_UPKEEP_EVERY_S", "_NOTE_EVERY_S", "_PROGRESS_EVERY_S", "_SWEEP_EVERY_S"):  # else once in minutes
        setattr(lifecycle, name, 0.1)
    settings = load_settings({"data_dir": data_dir, "listen": "127.0.0.1:0", "http": "127.0.0.1:0"}).settings
    configure_logs(settings.log_level, settings.log_format)

    def ready(addresses: lifecycle.Addresses) -> None:
        print(f"Afterimage is ready: gRPC on {addresses.grpc}, HTTP on {addresses.http}", flush=True)
        watch.judge_slowness()

    asyncio.run(run.serve(settings, ready), debug=True)


if __name__ == "__main__":
    # Debug mode notes the stack at which each callback and task is made, which takes longer than most callbacks do.
    # asyncio takes the function over when it is imported.
    traceback.extract_stack = lambda *_, **__: traceback.StackSummary()
    from asyncio import format_helpers

    format_helpers.extract_stack = traceback.extract_stack
    main(Path(sys.argv[1]), Path(sys.argv[2]))
