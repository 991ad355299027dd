"""Changing the master key: nothing is lost at any interruption, and the old key opens nothing afterwards."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from index import DataFault, WrongKey
from index.storage import page_format
from index.storage.sqlite import connect
from service.errors import SettingError
from service.tenancy.apikeys import Scope
from service.tenancy.companions import copy_of
from service.tenancy.masterkey import MasterKey, load_master_key, printed_master_key
from service.tenancy.registry import TenantRegistry
from service.tenancy.rewrap import finish, next_file, rewrap_with_file
from service.tenancy.stored_keys import NewKey
from tests.support.data.cuts import cut
from tests.support.reliability import FaultResult, told


class Place:
    """A registry and the file of its master key."""

    def __init__(self, folder: Path) -> None:
        self.registry, self.key_file = folder / "registry.db", folder / "master-key"
        load_master_key(self.key_file, None, create=True)
        self.old = self.key()
        opened = TenantRegistry(self.registry, self.old)
        self.uids = [opened.create_tenant(f"t{n}").uid for n in range(3)]
        opened.delete_tenant("t2")
        self.keys = [opened.data_key(uid) for uid in self.uids[:2]]
        self.api_key = opened.api_keys.create(self.uids[0], NewKey(frozenset({Scope.SEARCH})))
        self.secret = opened.secret("audit signing key")
        opened.close()

    def moved(self, folder: Path) -> Place:
        """The same in a copy of the folder."""
        other = copy.copy(self)
        other.registry, other.key_file = folder / self.registry.name, folder / self.key_file.name
        return other

    def key(self) -> MasterKey:
        return load_master_key(self.key_file, None, create=False)

    def check(self) -> None:
        """Everything is unchanged, under the key in the file."""
        opened = TenantRegistry(self.registry, self.key())
        assert [opened.data_key(uid) for uid in self.uids[:2]] == self.keys
        assert opened.deleted_uids() == self.uids[2:]
        assert opened.api_keys.authenticate(f"Bearer {self.api_key}").tenant_uid == self.uids[0]
        assert opened.secret("audit signing key") == self.secret
        opened.close()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_everything_is_there_under_the_new_key_and_nothing_opens_with_the_old(place: Place, tmp_path: Path) -> None:
    before = place.key_file.read_text()
    assert rewrap_with_file(place.registry, place.key_file, place.old) == 4  # two tenants, two secrets
    assert place.key_file.read_text() != before
    assert place.key_file.stat().st_mode & 0o777 == 0o600
    place.check()
    with pytest.raises(WrongKey):
        TenantRegistry(place.registry, place.old)
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".next")] == []


def test_an_older_registry_comes_out_with_pages_of_the_newest_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(page_format, "NEWEST_PAGE_FORMAT", page_format.FORMATS[-1])
        place = Place(tmp_path)
    assert page_format.format_of(place.registry, place.old.derive("tenant registry")) == page_format.FORMATS[-1]
    rewrap_with_file(place.registry, place.key_file, place.old)
    place.check()
    assert (
        page_format.format_of(place.registry, place.key().derive("tenant registry")) == page_format.NEWEST_PAGE_FORMAT
    )


def opened_by(key: MasterKey, registry: Path) -> bool:
    try:
        connect(registry, key.derive("tenant registry"), create=False).close()
    except (WrongKey, DataFault):
        return False
    return True


def test_a_change_that_is_cut_off_at_any_step_leaves_a_key_that_opens_everything(tmp_path: Path) -> None:
    check_cuts(tmp_path)


@pytest.mark.long
@pytest.mark.reliability
def test_the_same_many_times(tmp_path: Path, report_faults: Callable[[FaultResult], None]) -> None:
    kills = sum(check_cuts(tmp_path / str(n)) for n in told(range(10), 10, "new master keys"))
    outcome = "the old or the new master key opens everything, and the next change of the key succeeds"
    report_faults(FaultResult("kill at a step of a change of the master key", kills, 0, outcome))


def check_cuts(tmp_path: Path) -> int:
    """Interrupts a change of the key at each step. Returns the number of steps."""
    tmp_path.mkdir(exist_ok=True)
    place = Place(tmp_path / "data")
    cuts = cut(
        lambda: rewrap_with_file(place.registry, place.key_file, place.old), tmp_path / "data", tmp_path / "cuts"
    )
    assert len(cuts) >= 8
    new, done = place.key(), []
    for folder in cuts:
        there = place.moved(folder)
        finish(there.registry, there.key_file)
        there.check()
        done.append(opened_by(new, there.registry))
        assert opened_by(place.old, there.registry) is not done[-1]
        if done[-1]:
            assert not opened_by(place.old, copy_of(there.registry)), "the old key opens the standing copy"
    assert (done[0], done[-1]) == (False, True)
    assert done == sorted(done)
    for folder in (cuts[0], cuts[len(cuts) // 2], cuts[-1]):  # and the next change succeeds
        there = place.moved(folder)
        rewrap_with_file(there.registry, there.key_file, there.key())
        there.check()
    return len(cuts)


def test_a_key_that_waits_but_opens_nothing_is_left_alone(place: Place) -> None:
    next_file(place.key_file).touch(0o600)
    next_file(place.key_file).write_text(base64.b64encode(bytes(32)).decode())
    assert not finish(place.registry, place.key_file)
    next_file(place.key_file).write_text("nonsense")
    assert not finish(place.registry, place.key_file)
    place.check()


def test_a_command_gives_the_key_or_says_why_not(tmp_path: Path) -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    (tmp_path / "key").write_text(key + "\n")
    assert printed_master_key(f"cat '{tmp_path}/key'") == key
    for command in ("false", "true", f"cat {tmp_path}/none", "no-such-command", "'unclosed"):
        with pytest.raises(SettingError, match="master_key_command"):
            printed_master_key(command)
