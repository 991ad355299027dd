"""The examples of docs/http.md work as they stand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.data.pictures import encode, noise
from tests.support.needs import missing
from tests.support.servers.server import Server, clean_environment

PAGE = Path(__file__).parents[2] / "docs" / "http.md"


def test_the_examples_with_curl_run(server: Server, tenant_name: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None or shutil.which("bash") is None:
        missing("curl", "apt-get install curl")
    code = re.search(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code is not None
    for number, name in enumerate(("1.jpg", "2.jpg", "3.jpg", "query.jpg")):
        (tmp_path / name).write_bytes(encode(noise(number % 3), "JPEG"))
    environment = {**clean_environment(), "API": f"http://{server.http}", "KEY": server.key(tenant_name)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code[1].replace("\ncurl", "\necho; curl")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if '"recordCount":"3"' in line]
    assert '"outcome":"WRITE_OUTCOME_CREATED"' in done.stdout
    assert '"recordId":"1"' in done.stdout
    assert '"deleted":true' in lines[-1]
    calls = [json.loads(line) for line in server.settled_log().splitlines() if '"event": "call"' in line]
    assert "http" in {call["transport"] for call in calls}
