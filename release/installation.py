"""Installs the distributions in a fresh virtual environment and uses them once, as somebody does who has only them."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from release.distributions import ROOT, Distribution, ReleaseError, run

RUNTIME_LOCK = ROOT / "requirements-runtime.lock"
SCENARIO = Path(__file__).with_name("server_scenario.py")
_CLIENT_ALONE = (
    "import afterimage.client, sys; assert not {'numpy', 'afterimage_server'} & sys.modules.keys(); "
    "print(afterimage.client.__name__)"
)
# Files of the working directory that must not take the place of a module: what a shop may have where it starts it.
_TRAPS = ("service.py", "index.py", "afterimage.py", "numpy.py", "json.py")


def install(server: Distribution, folder: Path) -> Path:
    """Makes an environment with the pinned dependencies and the server; returns its folder of programs.

    The wheel is installed with its dependencies and without an index: it asks for nothing that the lock does not pin.
    """
    run([sys.executable, "-m", "venv", folder])
    pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--require-hashes", "-r", RUNTIME_LOCK])
    run([*pip, "--no-index", server.wheel])
    run([folder / "bin/python", "-m", "pip", "check"])
    return folder / "bin"


def use_packages(programs: Path, folder: Path) -> str:
    """Imports every module, and has each process apart do its work: `server_scenario`. Returns what it prints."""
    folder.mkdir()
    return run([programs / "python", "-P", SCENARIO], cwd=folder, environment=_clean_environment())


def use_client_alone(client: Distribution, folder: Path) -> None:
    """Installs the client with nothing but what it asks for, and imports it."""
    run([sys.executable, "-m", "venv", folder])
    run([folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", client.wheel])
    run([folder / "bin/python", "-c", _CLIENT_ALONE], cwd=folder)


def use_server(programs: Path, folder: Path, version: str) -> None:
    """Starts the server, inserts a picture, finds it, stops the server."""
    folder.mkdir()
    for name in _TRAPS:
        (folder / name).write_text("raise SystemExit('a file of the working directory was imported')\n")
    command, data = programs / "afterimage", ["--data-dir", folder / "data"]
    if (said := run([command, "--version"], cwd=folder).strip()) != version:
        raise ReleaseError(f"`afterimage --version` prints {said}, not {version}")
    environment = _clean_environment()
    run([command, "--help"], cwd=folder, environment=environment)
    picture = folder / "red.png"
    picture.write_bytes(_png(64, b"\xc0\x20\x20"))
    with serving([command, "serve", *data, "--listen", "127.0.0.1:0"], folder, environment) as target:
        run([command, "tenants", "create", "acme", *data], cwd=folder)
        key = run([command, "keys", "create", "acme", *data], cwd=folder).split()[-1]
        client = {**environment, "AFTERIMAGE_TARGET": target, "AFTERIMAGE_API_KEY": key}
        run([command, "collections", "create", "shoes"], cwd=folder, environment=client)
        run([command, "insert", "shoes", picture], cwd=folder, environment=client)
        run([command, "doctor", *data], cwd=folder, environment=environment)
        found = run([command, "search", "shoes", picture, "-k", "1"], cwd=folder, environment=client)
        if "red" not in found:
            raise ReleaseError(f"the picture that was inserted is not found:\n{found}")


@contextlib.contextmanager
def serving(command: Sequence[object], folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Yields the address of a server, which must stop with exit code 0 afterwards. Raises ReleaseError."""
    with (folder / "server.log").open("w") as log:
        words = list(map(str, command))
        server = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    assert server.stdout is not None
    try:
        line = server.stdout.readline()
        if "is ready" not in line:
            raise ReleaseError(f"the server did not start:\n{(folder / 'server.log').read_text()[-2000:]}")
        yield line.split("gRPC on ")[1].split(",")[0].strip()
        server.terminate()
        if server.wait(60) != 0:
            raise ReleaseError(f"the server stopped with exit code {server.returncode}")
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def _clean_environment() -> dict[str, str]:
    return {n: v for n, v in os.environ.items() if not n.startswith(("AFTERIMAGE_", "PYTHON"))}


def _png(side: int, colour: bytes) -> bytes:
    """A picture of one colour with a black diagonal, RGB."""
    rows = b"".join(b"\0" + b"".join(b"\0\0\0" if abs(x - y) < 6 else colour for x in range(side)) for y in range(side))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
