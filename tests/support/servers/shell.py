"""The `afterimage` command as run by a person."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.support.servers.server import COMMAND, NOT_MEASURED, ONE_DECODER, Server, can_be_warm, clean_environment
from tests.support.servers.warm_start import run_warm


class Shell:
    """The real command in its own process, forked if possible (`tests/support/servers/warm_start.py`)."""

    def __init__(self, server: Server | None, tenant: str, state: Path, *, data_dir: Path | None = None) -> None:
        """`server`: None for commands that only need `data_dir`."""
        self.data = ["--data-dir", str(server.data_dir if server is not None else data_dir)]
        self._state = state
        self.environment = {**clean_environment(), **NOT_MEASURED, **ONE_DECODER, "AFTERIMAGE_STATE_DIR": str(state)}
        if server is not None:
            self.environment |= {"AFTERIMAGE_TARGET": server.target, "AFTERIMAGE_API_KEY": server.key(tenant)}

    def done(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, without checking its exit code."""
        if can_be_warm(self.environment):
            return run_warm(arguments, self.environment, self._state, 110)
        return subprocess.run(
            [*COMMAND, *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=110,
            stdin=subprocess.DEVNULL,
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        done = self.done(*arguments)
        assert done.returncode == code, done.stderr
        return done.stdout

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        return json.loads(self.run(*arguments, "--json", code=code).splitlines()[0])
