"""Builds the image with buildah and uses it: `make image-check`. Needs root, buildah and mmdebstrap.

The server runs as the image's user, in the image's environment, with a root that is mounted read-only. Only the volume
can be written, not even /tmp. Without the programs, the check is reported as left out; with CI=true it then fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from release.check import version_of
from release.distributions import ROOT, ReleaseError, run
from release.image import Buildah
from release.installation import SCENARIO

MOST_BYTES = 450_000_000
_HOME = "/var/lib/afterimage"
_FORMATS = ("png", "jpg", "webp", "bmp", "gif", "tiff", "avif")
_START_S = 120.0
# Arguments: the root, the volume, and the command. Mounts end with the process that has them.
_ENTER = """
mount --bind "$1" "$1" && mount --bind "$2" "$1"/var/lib/afterimage && mount -t proc proc "$1"/proc &&
mount --bind /dev "$1"/dev && mount -o remount,bind,ro "$1" && shift 2 && exec "$@"
"""


_CHROOT = "/usr/sbin/chroot"  # it looks for the command in the PATH of the image
_USE_PACKAGES = f"import os, runpy; os.chdir({_HOME!r}); runpy.run_path({SCENARIO.name!r}, run_name='__main__')"


@dataclass(frozen=True)
class Image:
    """A built image. root: its files; configuration: as `docker inspect` calls its parts."""

    root: Path
    configuration: Mapping[str, Any]

    @property
    def user(self) -> str:
        """Number of the user and of the group, with a colon."""
        return str(self.configuration["User"])

    def command(self, *words: object, environment: Mapping[str, str] = {}) -> list[str]:
        """What runs the words in the root, as the image's user and in its environment."""
        own = dict(entry.split("=", 1) for entry in self.configuration["Env"])
        variables = [f"{name}={value}" for name, value in {**own, **environment}.items()]
        return ["env", "-i", *variables, _CHROOT, f"--userspec={self.user}", str(self.root), *map(str, words)]


class Running:
    """A server in the image. `run` executes commands in the same mounts."""

    def __init__(self, image: Image, process: subprocess.Popen[str]) -> None:
        self.image, self.process = image, process

    def run(self, *words: object, environment: Mapping[str, str] = {}) -> str:
        """What a command prints. Raises ReleaseError where it fails."""
        enter = ["nsenter", "--mount", "--target", self.process.pid, "--"]
        return run([*enter, *self.image.command(*words, environment=environment)])


def check(folder: Path) -> None:
    """Builds and uses the image. Raises ReleaseError."""
    version = version_of(ROOT)
    buildah = Buildah(folder)
    _step("build the image", lambda: buildah.build(f"localhost/afterimage:{version}"))
    made = buildah.run("from", "--pull-never", f"localhost/afterimage:{version}")
    inspected = json.loads(buildah.run("inspect", "--type", "container", made))
    image = Image(Path(buildah.run("mount", made)), inspected["Docker"]["config"])
    _step("its files", lambda: look_at_files(image))
    volume = folder / "volume"
    volume.mkdir()
    os.chown(volume, *map(int, image.user.split(":")))
    _step("a server in it", lambda: use(image, volume, version))


def look_at_files(image: Image) -> None:
    """The size, who may write what, and that nothing gives its user other rights. Raises ReleaseError."""
    problems, size = [], 0
    for path in image.root.rglob("*"):
        found, name = path.lstat(), f"/{path.relative_to(image.root)}"
        size += 0 if stat.S_ISDIR(found.st_mode) else found.st_size
        if found.st_mode & (stat.S_ISUID | stat.S_ISGID) and not stat.S_ISDIR(found.st_mode):
            problems.append(f"{name} gives other rights")
        writable = found.st_uid != 0 or (found.st_mode & stat.S_IWOTH and not path.is_symlink())
        if writable and name not in (_HOME, "/tmp", "/var/tmp", "/run/lock"):  # noqa: S108
            problems.append(f"{name} can be written")
    if size > MOST_BYTES:
        problems.append(f"{size / 1e6:.0f} MB are more than {MOST_BYTES / 1e6:.0f} MB")
    if image.user.split(":")[0] in ("", "0", "root"):
        problems.append("it runs as root")
    if problems:
        raise ReleaseError("the image: " + "; ".join(problems[:10]))
    print(f"the image has {size / 1e6:.0f} MB")


def use(image: Image, volume: Path, version: str) -> None:
    """Serves from the image: its health check, pictures of every format, each process apart. Raises ReleaseError."""
    for name in _FORMATS:
        (volume / f"{name}.{name}").write_bytes(_picture(name))
    shutil.copy(SCENARIO, volume)
    with _serving(image, volume) as server:
        if (said := server.run("afterimage", "--version").strip()) != version:
            raise ReleaseError(f"the image prints {said}, not {version}")
        server.run("afterimage", "tenants", "create", "acme")
        key = server.run("afterimage", "keys", "create", "acme").split()[-1]
        client = {"AFTERIMAGE_API_KEY": key}
        server.run("afterimage", "collections", "create", "shoes", environment=client)
        pictures = [f"{_HOME}/{name}.{name}" for name in _FORMATS]
        server.run("afterimage", "insert", "shoes", *pictures, environment=client)
        for name, path in zip(_FORMATS, pictures, strict=True):
            found = json.loads(server.run("afterimage", "search", "shoes", path, "--json", environment=client))
            if found["hits"][0]["record_id"] != name:
                raise ReleaseError(f"{path} is not found: {found['hits'][:2]}")
        server.run("afterimage", "doctor", "--privacy")
        print(server.run("python", "-Pc", _USE_PACKAGES).strip())
        _refuse_to_write(server)


def _refuse_to_write(server: Running) -> None:
    for path in ("/tmp/x", "/opt/afterimage/x", "/x"):  # noqa: S108
        code = f"open({path!r}, 'w')"
        try:
            server.run("python", "-c", code)
        except ReleaseError as error:
            if "Read-only file system" in str(error) or "Permission denied" in str(error):
                continue
        raise ReleaseError(f"{path} can be written")


@contextlib.contextmanager
def _serving(image: Image, volume: Path) -> Iterator[Running]:
    settings = {"AFTERIMAGE_STRICT_FORGETTING": "true", "AFTERIMAGE_IMAGE_FORMATS": "avif,tiff"}
    words = image.command(*image.configuration["Entrypoint"], *image.configuration["Cmd"], environment=settings)
    command = ["unshare", "--mount", "sh", "-c", _ENTER, "enter", image.root, volume, *words]
    with (volume.parent / "server.log").open("w") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, text=True)
    server = Running(image, process)
    try:
        _wait_until_healthy(server, volume.parent / "server.log")
        yield server
        process.terminate()
        if process.wait(60) != 0:
            raise ReleaseError(f"the server stopped with exit code {process.returncode}")
    finally:
        process.kill()
        process.wait()


def _wait_until_healthy(server: Running, log: Path) -> None:
    kind, *words = server.image.configuration["Healthcheck"]["Test"]
    if kind != "CMD":
        raise ReleaseError("the health check needs a shell, which the image does not have")
    until = time.monotonic() + _START_S
    while True:
        try:
            server.run(*words)
            return
        except ReleaseError as error:
            if time.monotonic() > until or server.process.poll() is not None:
                raise ReleaseError(f"the server is not healthy: {error}\n{log.read_text()[-2000:]}") from None
        time.sleep(0.5)


def _picture(name: str) -> bytes:
    """A file of this format, with a pattern of its own."""
    seed = _FORMATS.index(name)
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    encoded, content = cv2.imencode(f".{name}", cv2.resize(blocks, (240, 240), interpolation=cv2.INTER_NEAREST))
    if not encoded:
        raise ReleaseError(f"cannot write {name}")
    return bytes(content)


def _step(what: str, work: Any) -> None:
    began = time.monotonic()
    work()
    print(f"{what}: ok, {time.monotonic() - began:.0f} s", flush=True)


def missing_tools() -> Sequence[str]:
    """What this needs and is not here."""
    needed = [tool for tool in ("buildah", "mmdebstrap", "nsenter") if shutil.which(tool) is None]
    return needed if os.getuid() == 0 else [*needed, "root"]


def main() -> int:
    """Returns the exit code."""
    if missing := missing_tools():
        print(f"image-check: THE IMAGE WAS NOT BUILT, this needs {', '.join(missing)}", file=sys.stderr)
        return 1 if os.environ.get("CI") == "true" else 0
    with tempfile.TemporaryDirectory(prefix="afterimage-image-") as folder:
        try:
            check(Path(folder))
        except ReleaseError as error:
            print(f"image-check: {error}", file=sys.stderr)
            return 1
        finally:
            with contextlib.suppress(ReleaseError):
                Buildah(Path(folder)).run("rm", "--all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
