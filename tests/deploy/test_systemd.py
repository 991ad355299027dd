"""The systemd units: their exposure, and a server and a worker that run under them on a real systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.data.pictures import png
from tests.support.needs import REDIS_REMEDY, missing
from tests.support.servers.systemd_machine import UNITS, check_there, run_on_machine

SERVICES = sorted(UNITS.glob("*.service"))
MOST_EXPOSURE = 2.5
REDIS = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart={} --port 6399 --save ''\n"
SETTINGS = """
data_dir = "/var/lib/afterimage/data"
master_key_file = "/etc/afterimage/master-key"
listen = "127.0.0.1:50051"
metrics = "127.0.0.1:50090"
redis_url = "redis://127.0.0.1:6399/0"
worker_secret = "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"
strict_forgetting = true
"""
WORKER = """
AFTERIMAGE_TARGET=127.0.0.1:50051
AFTERIMAGE_REDIS_URL=redis://127.0.0.1:6399/0
AFTERIMAGE_WORKER_SECRET=wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww
"""
SCRIPT = r"""
chown root:afterimage /etc/afterimage && chmod 750 /etc/afterimage
chown afterimage /etc/afterimage/master-key && chmod 600 /etc/afterimage/master-key
systemctl start redis-test afterimage
until [ -e /run/machine/log ] && grep -q 'is ready' /run/machine/log; do
  systemctl --quiet is-active afterimage || { cat /run/machine/log; exit 1; }
  sleep 0.1
done
systemctl start afterimage-worker@1
afterimage() {
  setpriv --reuid afterimage --regid afterimage --clear-groups \
    env AFTERIMAGE_CONFIG=/etc/afterimage/afterimage.toml HOME=/nowhere "$@";
}
cd /run/machine/files
afterimage /opt/afterimage/bin/python - <<'END'
from afterimage.client import Client, NewRecord
from pathlib import Path
from service.composition.data_directory import open_registry
from service.config import load_settings
from service.tenancy.apikeys import Scope
from service.tenancy.stored_keys import NewKey

registry = open_registry(load_settings({}).settings)
key = registry.api_keys.create(registry.create_tenant("acme").uid, NewKey(frozenset(Scope)))
registry.close()
with Client("127.0.0.1:50051", key) as client:
    client.create_collection("shoes")
    client.insert("shoes", [NewRecord("1", image=Path("picture.png"))])
    print("found", client.search("shoes", Path("picture.png"), k=1).hits[0].record_id)
END
for pid in $(systemctl show --property MainPID --value afterimage) $(pgrep -f decode_pool.worker | head -1); do
  awk '/^Seccomp_filters:/ {filters = $2} /^CapBnd:/ {bound = $2}
    END {print "filters", filters, "capabilities", bound}' /proc/$pid/status
done
until grep -q '^Worker .* is ready' /run/machine/log; do
  systemctl --quiet is-active afterimage-worker@1 || { cat /run/machine/log; exit 1; }
  sleep 0.1
done
systemctl reload afterimage
find /var/lib/afterimage -mindepth 1 -maxdepth 1 -printf 'state %f\n'
systemctl stop afterimage-worker@1 afterimage
for unit in afterimage-worker@1 afterimage; do
  echo "$unit $(systemctl show --property Result --value $unit) $(systemctl show --property NRestarts --value $unit)"
done
"""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze") or missing("systemd-analyze", "apt-get install systemd")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_the_exposure_of_each_service_is_low(unit: Path) -> None:
    done = analyze("security", "--offline=true", "--no-pager", str(unit))
    if "offline" in done.stderr and "unrecognized" in done.stderr:
        missing("systemd 250 or later", "apt-get install systemd")
    found = re.search(r"Overall exposure level for .*: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSURE, done.stdout


@pytest.mark.parametrize("unit", sorted(UNITS.iterdir()), ids=lambda unit: unit.name)
def test_systemd_understands_every_line_of_the_units(unit: Path, tmp_path: Path) -> None:
    copies = {u.name: tmp_path / u.name for u in UNITS.iterdir()}
    for name, copy in copies.items():
        copy.write_text((UNITS / name).read_text().replace("/opt/afterimage/bin/afterimage", "/bin/true"))
    checked = copies[unit.name]
    if "@." in unit.name:
        checked = checked.rename(tmp_path / unit.name.replace("@.", "@1."))
    done = analyze("verify", "--man=no", str(checked))
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or unit.stem in line]
    assert said == []


@pytest.mark.long
def test_a_server_and_a_worker_run_under_their_units(tmp_path: Path) -> None:
    check_there()
    redis = shutil.which("redis-server") or missing("a redis-server", REDIS_REMEDY)
    files = {
        "/etc/afterimage/afterimage.toml": SETTINGS, "/etc/afterimage/worker.env": WORKER,
        "/etc/afterimage/master-key": "A" * 43 + "=\n",
    }  # fmt: skip
    picture = tmp_path / "machine" / "files" / "picture.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(png(1))
    said = run_on_machine(tmp_path / "machine", SCRIPT, files, {"redis-test.service": REDIS.format(redis)})
    assert "found 1" in said
    assert "afterimage success 0" in said
    assert "afterimage-worker@1 success 0" in said
    assert re.findall("^state (.*)$", said, re.MULTILINE) == ["data"]
    server, decoder = map(int, re.findall("^filters ([0-9]+) capabilities 0{16}$", said, re.MULTILINE))
    assert decoder == server + 1  # a decoder confines itself further
    log = (tmp_path / "machine" / "log").read_text()
    assert "performance degradation" not in log  # ONNX Runtime knows the processor
    assert '"level": "error"' not in log
