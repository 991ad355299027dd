"""Every command of the pages on deploying under systemd, and on backup and upgrade, on a machine with systemd.

The data is that of the oldest released format.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.pages import commands
from tests.support.servers.systemd_machine import check_there, run_on_machine

PAGE = "backup-and-upgrade.md"
# What the tests know of /opt/afterimage cannot be fetched: the machine has no network.
INSTALL = re.compile(r"^python3 -m venv .*\n(/opt/afterimage/bin/pip .*\n)+", re.MULTILINE)
REPORT = r"""
report() {
  echo "== $1"
  until curl -fs http://127.0.0.1:50080/readyz >/dev/null; do
    systemctl --quiet is-active afterimage || { tail -40 /run/machine/log; exit 1; }
    sleep 0.1
  done
  /opt/afterimage/bin/python - <<'END'
from afterimage.client import Client
from pathlib import Path

for tenant in ("acme", "bolt"):
    with Client("127.0.0.1:50051", Path(f"/run/{tenant}").read_text().strip()) as client:
        for found in client.collections():
            print(tenant, found.name, client.count_records(found.name), client.verify_index(found.name))
        print(tenant, "sources", [s.said.name for s in client.list_sources()])
END
  AFTERIMAGE_API_KEY=$(cat /run/acme) /opt/afterimage/bin/afterimage audit verify
  echo "== end"
}
"""
RELEASED_DATA = r"""
systemctl stop afterimage
rm -rf /var/lib/afterimage/data
cp -a tests/data/data-directory-v1/data /var/lib/afterimage/data
install -o afterimage -g afterimage -m 600 tests/data/data-directory-v1/data.master-key /etc/afterimage/master-key
chown -R afterimage: /var/lib/afterimage/data
systemctl start afterimage
for tenant in acme bolt; do
  afterimage keys create $tenant --scopes search,insert,delete,sync,admin,audit | tail -1 >/run/$tenant
done
"""
REMAINS = r"""
find /etc /opt /var /mnt /tmp -xdev \( -nouser -o -iname '*afterimage*' \) -print
! getent passwd afterimage
"""


def block(heading: str) -> str:
    (found,) = commands(PAGE, heading)
    return INSTALL.sub("cp -a /run/machine/environment /opt/afterimage\n", found)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_backup_restore_upgrade_return_and_removal_as_the_pages_say(tmp_path: Path) -> None:
    check_there()
    script = "\n".join(
        (
            "cd /opt/source", "mkdir /mnt/safe", REPORT, *commands("deploying.md", "systemd"),
            RELEASED_DATA, "report released",
            block("Back up"), "systemctl start afterimage-backup.service", "ls -d /var/backups/afterimage/20*",
            "AFTERIMAGE_API_KEY=$(cat /run/acme) afterimage collections delete hats --force",
            block("Restore on an empty machine"), "report restored",
            block("Upgrade"), "report upgraded",
            "AFTERIMAGE_API_KEY=$(cat /run/acme) afterimage collections delete shoes --force",
            block("Go back"), "report returned",
            block("Remove"), "echo remains", REMAINS, "echo nothing else",
        )
    )  # fmt: skip
    said = run_on_machine(tmp_path / "machine", script, {}, {}, installed=False)
    reports = dict(re.findall(r"^== (\w+)\n(.*?)^== end$", said, re.MULTILINE | re.DOTALL))
    assert list(reports) == ["released", "restored", "upgraded", "returned"]
    assert "acme hats 5 []" in reports["released"]
    assert "acme shoes 7 []" in reports["released"]
    assert "acme sources ['spring']" in reports["released"]
    for name in ("restored", "upgraded", "returned"):
        assert without_counts(reports[name]) == without_counts(reports["released"]), name
    assert re.search(r"^remains\nnothing else$", said, re.MULTILINE), said[-2000:]


def without_counts(report: str) -> str:
    """A report without the number of entries of the audit log, which grows."""
    return re.sub(r"\d+ entries", "entries", report)
