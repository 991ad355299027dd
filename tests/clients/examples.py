"""The examples of other languages: what all of them print, and how they are run."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.clients.conftest import COLLECTION, SOURCE, Followed
from tests.support.tools import run

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPECTED = [
    "inserted 1: WRITE_OUTCOME_UPDATED",  # the sync has created it with another picture
    "found 1 with score 1.00",
    f"sync {SOURCE}: succeeded, 2 created, 0 failed",
]
MAX_LINES = 60
SUFFIXES = (".mjs", ".php", ".rb", ".go", ".java")


def assert_works(
    command: Sequence[str], folder: Path, followed: Followed, environment: dict[str, str] | None = None
) -> None:
    """Runs an example, first as it is to be used, then with what people get wrong: it has to say the reason."""
    picture = str(followed.pictures / "0.jpg")
    environment = environment or followed.environment
    assert run([*command, COLLECTION, picture, SOURCE], folder, environment).splitlines() == EXPECTED
    broken = followed.pictures / "broken.jpg"
    broken.write_bytes(b"this is no picture")
    wrong_key = environment | {"AFTERIMAGE_API_KEY": "af_live_0"}
    assert "key" in _failing([*command, COLLECTION, picture, SOURCE], folder, wrong_key)
    assert "IMAGE_FORMAT_UNSUPPORTED" in _failing([*command, COLLECTION, str(broken), SOURCE], folder, environment)
    assert "not" in _failing([*command, "no-such", picture, SOURCE], folder, environment).lower()


def _failing(command: Sequence[str], folder: Path, environment: dict[str, str]) -> str:
    """What a program says that has to fail."""
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode != 0, ran.stdout
    return ran.stderr
