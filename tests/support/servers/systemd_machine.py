"""A real systemd with the units of `deploy/systemd`, in namespaces of its own.

It runs as process 1 of a PID namespace and sees this machine's files, except that `/etc`, `/opt` and `/var` keep what
is written to them in memory, `/tmp` is empty, and there is no network but loopback. `/opt/afterimage` is this
environment, as the documents install it. What the machine is asked to do is a shell script, which runs beside the units
and without their restrictions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from tests.support.needs import missing

ROOT = Path(__file__).parents[3]
UNITS = ROOT / "deploy" / "systemd"
_SYSTEMD = Path("/lib/systemd/systemd")
_NAMESPACES = ["unshare", "--pid", "--fork", "--mount", "--net", "--ipc", "--uts", "--cgroup", "--kill-child"]
_REMEDY = "apt-get install systemd, and run the tests as root"

# $1: a folder with `files` (copied over /), `units`, `environment` and `script`. The units of this machine's own
# systemd are out of reach: some of them would clean /tmp or configure the network.
_BOOT = r"""
set -e
ip link set lo up
mount --make-rprivate /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t tmpfs tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
mkdir /run/layers /run/lock /run/systemd
for folder in etc opt var; do
  layer=/run/layers/$folder
  mkdir -p $layer/upper $layer/work
  mount -t overlay overlay -o lowerdir=/$folder,upperdir=$layer/upper,workdir=$layer/work /$folder
done
mkdir -p /opt/python /opt/source /opt/packages /run/machine
mount --bind "$BASE" /opt/python
mount --bind "$SOURCE" /opt/source
mount --bind "$PACKAGES" /opt/packages
mount --bind "$1" /run/machine
cp -a /run/machine/environment /opt/afterimage
mount -t tmpfs tmpfs /etc/systemd/system
mount -t tmpfs tmpfs /mnt
mount -t tmpfs -o mode=1777 tmpfs /tmp
cp -rT /run/machine/files /
echo /opt/python/lib >/etc/ld.so.conf.d/000-python.conf # where the interpreter has a libpython, it is found by this
ldconfig
if [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
  mkdir -p /sys/fs/cgroup/systemd
  mountpoint -q /sys/fs/cgroup/systemd || mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
fi
export container=test SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/machine/units SYSTEMD_GENERATOR_PATH=/nowhere
exec "$SYSTEMD" --system --unit=machine.target --log-target=console --show-status=no
"""
_MACHINE_UNITS = {
    "machine.target": "[Unit]\nDefaultDependencies=no\nWants=script.service\n",
    "script.service": """[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
TimeoutStartSec=280
StandardOutput=append:/run/machine/output
StandardError=inherit
ExecStart=/bin/bash -euo pipefail /run/machine/script
ExecStopPost=/bin/systemctl --force --force poweroff
""",
    **dict.fromkeys(("sysinit.target", "basic.target", "shutdown.target", "network-online.target"),
                    "[Unit]\nDefaultDependencies=no\n"),
}  # fmt: skip
_TIMEOUT_S = 300
# There is no journal. How a model runs best is not measured, which would take seconds of all cores.
_LOG = """[Service]
StandardOutput=append:/run/machine/log
StandardError=inherit
Environment=AFTERIMAGE_MODEL_THREADS=1 AFTERIMAGE_MAX_BATCH_SIZE=8 AFTERIMAGE_DECODE_PROCESSES=1
"""


def check_there() -> None:
    """Skips the test if there is no systemd, or this user may not make namespaces."""
    if not _SYSTEMD.exists() or shutil.which("unshare") is None or os.geteuid() != 0:
        missing("systemd, and the right to start it in namespaces", _REMEDY)
    tried = subprocess.run([*_NAMESPACES, "true"], capture_output=True, check=False)
    if tried.returncode:
        missing("the right to make namespaces", "run the tests in a container with CAP_SYS_ADMIN")


def run_on_machine(
    folder: Path, script: str, files: Mapping[str, str], more_units: Mapping[str, str], *, installed: bool = True
) -> str:
    """Starts the machine, runs a script with bash on it, and stops it. Returns what the script printed.

    `files`: contents by absolute path. `more_units`: units besides those of the project. `installed`: whether the user
    and the units of the project are there. `folder`: for what the machine writes.
    Raises AssertionError if the script fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _environment(folder / "environment")
    users = {name: Path(name).read_text() for name in ("/etc/passwd", "/etc/group")} if installed else {}
    if installed:
        users["/etc/passwd"] += "afterimage:x:10001:10001::/var/lib/afterimage:/usr/sbin/nologin\n"
        users["/etc/group"] += "afterimage:x:10001:\n"
    services = {unit.name: unit.read_text() for unit in UNITS.iterdir() if installed} | dict(more_units)
    logs = {f"{name}.d/log.conf": _LOG for name in {*services, *(unit.name for unit in UNITS.glob("*.service"))}}
    units = services | logs | _MACHINE_UNITS
    contents = {f"units/{n}": text for n, text in units.items()}
    contents |= {f"files{n}": text for n, text in {**users, **files}.items()}
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (folder / "files").mkdir(exist_ok=True)
    (folder / "script").write_text(script + "\necho the script has ended\n")
    (folder / "boot").write_text(_BOOT)
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "BASE": sys.base_prefix, "SOURCE": str(ROOT), "SYSTEMD": str(_SYSTEMD),
        "PACKAGES": sysconfig.get_path("purelib"),
    }  # fmt: skip
    command = [*_NAMESPACES, "bash", str(folder / "boot"), str(folder)]
    with (folder / "console").open("w") as console:
        subprocess.run(command, env=environment, stdout=console, stderr=console, timeout=_TIMEOUT_S, check=False)
    output = folder / "output"
    said = output.read_text() if output.exists() else ""
    assert "the script has ended\n" in said, said[-3000:] + (folder / "console").read_text()[-3000:]
    return said


def _environment(folder: Path) -> None:
    """Makes a virtual environment that the machine sees as /opt/afterimage: the packages of this one, by links."""
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if entry.suffix != ".pth":
            (packages / entry.name).symlink_to(f"/opt/packages/{entry.name}")
    (packages / "source.pth").write_text("/opt/source\n/opt/source/proto\n")
    (folder / "bin").mkdir()
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(f"/opt/python/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    (folder / "pyvenv.cfg").write_text("home = /opt/python/bin\ninclude-system-site-packages = false\n")
    command = folder / "bin" / "afterimage"
    command.write_text(
        "#!/opt/afterimage/bin/python\nimport sys\nfrom service.cli.main import run\n"
        "sys.argv[0] = 'afterimage'\nrun()\n"
    )
    command.chmod(0o755)
