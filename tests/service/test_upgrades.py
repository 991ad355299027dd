"""Servers start and scripts run with the settings and commands of earlier versions: tests/data/released."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from release.freeze import RELEASED, names
from service.config import load_settings, variable_warnings
from service.errors import SettingError
from service.renamed_settings import RENAMED
from service.settings.model import Settings
from tests.support.servers.server import start_server
from tests.support.servers.tls import make_certificates, revoke

SETTINGS = sorted(RELEASED.glob("settings-*.toml"))
NAMES = sorted(RELEASED.glob("names-*.json"))
# A server that starts needs what these name, and a master key in one place.
NOT_HERE = ("redis_url", "object_store", "master_key = ", "master_key_command")


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if `listen` had once been `address`, and `fetch_networks` `networks`."""
    monkeypatch.setitem(RENAMED, "address", "listen")
    monkeypatch.setitem(RENAMED, "networks", "fetch_networks")


def _settings(released: Path, folder: Path) -> str:
    certificates = make_certificates(folder)
    assert certificates.ca == folder / "ca.pem"
    revoke(folder).rename(folder / "revoked.pem")
    for name in ("encoders", "feeds"):
        (folder / name).mkdir()
    return released.read_text().replace("{folder}", str(folder))


@pytest.mark.parametrize("released", SETTINGS, ids=lambda p: p.stem)
def test_each_setting_of_a_released_version_is_accepted_from_file_and_environment(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(_settings(released, tmp_path))
    from_file = load_settings({}, file)
    given = tomllib.loads(file.read_text())
    kept = {n: v for n, v in given.items() if n not in RENAMED}
    assert {n: from_file.origins[n] for n in kept} == dict.fromkeys(kept, "file")
    for name, value in given.items():
        text = ",".join(value) if isinstance(value, list) else str(value)
        monkeypatch.setenv(f"AFTERIMAGE_{name.upper()}", text)
    assert load_settings({}).settings == from_file.settings
    assert all("is not a setting" not in said for said in variable_warnings())


@pytest.mark.parametrize("released", SETTINGS, ids=lambda p: p.stem)
def test_a_server_starts_with_the_settings_file_of_a_released_version(released: Path, tmp_path: Path) -> None:
    lines = _settings(released, tmp_path).splitlines(keepends=True)
    file = tmp_path / "settings.toml"
    file.write_text("".join(line for line in lines if not line.startswith(NOT_HERE)))
    server = start_server(tmp_path, "--config", str(file))
    assert server.stop() == 0
    assert "is not a setting" not in server.log.read_text()


@pytest.mark.parametrize("released", NAMES, ids=lambda p: p.stem)
def test_each_name_of_a_released_version_is_there(released: Path) -> None:
    """Commands with their options, reasons with their codes, metrics with their types, names of the client."""
    now, gone = names(), []
    words = [set(line.split()) for line in now["commands"]]
    for kind, lines in json.loads(released.read_text()).items():
        for line in lines:
            there = any(set(line.split()) <= w for w in words) if kind == "commands" else line in now[kind]
            gone += [] if there else [line]
    assert gone == []


@pytest.mark.usefixtures("renamed")
def test_an_old_name_works_in_file_and_environment_and_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('address = "127.0.0.1:1"\nregion = "eu"\n')
    monkeypatch.setenv("AFTERIMAGE_NETWORKS", "10.0.0.0/8")
    loaded = load_settings({}, file)
    assert (loaded.settings.listen, loaded.settings.fetch_networks) == ("127.0.0.1:1", ("10.0.0.0/8",))
    assert (loaded.origins["listen"], loaded.origins["fetch_networks"]) == ("file", "environment")
    assert loaded.warnings == (
        f"address in {file} is deprecated: rename it to listen in {file}",
        "AFTERIMAGE_NETWORKS is deprecated: rename it to AFTERIMAGE_FETCH_NETWORKS",
    )


@pytest.mark.usefixtures("renamed")
def test_a_new_name_counts_before_an_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERIMAGE_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("AFTERIMAGE_LISTEN", "127.0.0.1:2")
    loaded = load_settings({})
    assert loaded.settings.listen == "127.0.0.1:2"
    assert loaded.warnings == (
        "AFTERIMAGE_ADDRESS is deprecated and ignored, as AFTERIMAGE_LISTEN is set: remove AFTERIMAGE_ADDRESS",
    )


@pytest.mark.usefixtures("renamed")
def test_an_old_name_in_the_environment_counts_before_a_new_one_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('listen = "127.0.0.1:1"\n')
    monkeypatch.setenv("AFTERIMAGE_ADDRESS", "127.0.0.1:2")
    assert load_settings({}, file).settings.listen == "127.0.0.1:2"


@pytest.mark.usefixtures("renamed")
def test_a_malformed_value_under_an_old_name_is_said_with_the_old_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('address = "nonsense"\n')
    with pytest.raises(SettingError, match=rf"^listen: .* comes from address in the file {file}"):
        load_settings({}, file)
    monkeypatch.setenv("AFTERIMAGE_ADDRESS", "elsewhere")
    with pytest.raises(SettingError, match=r"listen comes from AFTERIMAGE_ADDRESS in the environment"):
        load_settings({})


def test_renamed_settings_have_names_of_today_and_their_line_in_the_documents() -> None:
    documented = (RELEASED.parents[2] / "docs/configuration.md").read_text()
    for old, new in RENAMED.items():
        assert old not in Settings.model_fields
        assert new in Settings.model_fields
        assert f"`{old}`" in documented, old


def test_a_variable_without_the_prefix_is_not_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('region = "eu"\n')
    monkeypatch.setenv("REGION", "us")
    loaded = load_settings({}, file)
    assert (loaded.settings.region, loaded.origins["region"]) == ("eu", "file")
