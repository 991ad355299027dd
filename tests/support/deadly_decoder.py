"""The sandboxed decoder with faults on demand.

A picture that contains DIE kills it, HANG makes it loop forever, and ESCAPE, followed by the path of a file that is not
there, makes it report what it can still do.
"""

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service.encoder.decode_pool import worker

_answer = worker._answer


def answer(job: dict[str, Any], limits: Any, payload: memoryview, result: memoryview) -> dict[str, Any]:
    content = bytes(payload[: job["size"]])
    if b"DIE" in content:
        os.abort()
    while b"HANG" in content:
        pass
    if content.startswith(b"ESCAPE"):
        outside = Path(content.removeprefix(b"ESCAPE").decode())
        return {"reason": "IMAGE_DAMAGED", "message": ",".join(possible(outside))}
    return _answer(job, limits, payload, result)


def possible(outside: Path) -> list[str]:
    """What this process can do; `outside` is a file to be written."""
    attempts: dict[str, Callable[[], object]] = {
        "read a file": lambda: Path("/etc/passwd").read_bytes(),
        "write a file": lambda: outside.write_bytes(b"x"),
        "list a folder": lambda: os.listdir("/"),
        "open a socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(),
        "start a program": lambda: subprocess.run(["/bin/true"], check=True),
        "fork": os.fork,
        "signal the server": lambda: os.kill(os.getppid(), 0),
        "take four gigabytes": lambda: bytes(4 << 30),
        "see settings": lambda: os.environ["AFTERIMAGE_MASTER_KEY"],
    }
    done = []
    for name, attempt in attempts.items():
        try:
            attempt()
        except (OSError, MemoryError, KeyError, ValueError):
            continue
        done.append(name)
    return done


if __name__ == "__main__":
    worker._answer = answer
    worker.main()
