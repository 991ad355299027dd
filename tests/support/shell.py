"""The `afterimage` command, as a person runs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support.server import COMMAND, Server, clean_environment


class Shell:
    """The real command, in a process of its own."""

    def __init__(self, server: Server, tenant: str, state: Path) -> None:
        self.data = ["--data-dir", str(server.data_dir)]
        self.environment = {
            **clean_environment(),
            "AFTERIMAGE_TARGET": server.target,
            "AFTERIMAGE_API_KEY": server.key(tenant),
            "AFTERIMAGE_STATE_DIR": str(state),
        }

    def run(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [*COMMAND, *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def json(self, *arguments: str, code: int = 0) -> dict:
        return json.loads(self.run(*arguments, "--json", code=code).splitlines()[0])
