from pathlib import Path

import pytest

from service.config import client_settings, is_loopback, load_settings, split_address
from service.errors import SettingError


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('max_batch_size = 3\nmax_queue_size = 4\nlisten = "127.0.0.1:1"\n')
    monkeypatch.setenv("AFTERIMAGE_MAX_QUEUE_SIZE", "5")
    monkeypatch.setenv("AFTERIMAGE_LISTEN", "127.0.0.1:2")
    loaded = load_settings({"listen": "127.0.0.1:3", "http": None}, file)
    settings, origins = loaded.settings, loaded.origins
    assert (settings.max_batch_size, origins["max_batch_size"]) == (3, "file")
    assert (settings.max_queue_size, origins["max_queue_size"]) == (5, "environment")
    assert (settings.listen, origins["listen"]) == ("127.0.0.1:3", "flag")
    assert (settings.http, origins["http"]) == ("", "default")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"max_batch_size": -1}, "max_batch_size"),
        ({"max_batch_size": "many"}, "max_batch_size"),
        ({"no_such": 1}, "no_such: there is no such setting"),
        ({"listen": "nonsense"}, "listen: 'nonsense' is not HOST:PORT"),
        ({"listen": "127.0.0.1:99999"}, "HOST:PORT"),
        ({"listen": "0.0.0.0:50051"}, "set tls_cert and tls_key"),
        ({"listen": "example.org:50051"}, "set tls_cert and tls_key"),
        ({"tls_cert": "x"}, "set both or neither"),
        ({"client_ca": "x"}, "needs tls_cert"),
        ({"tls_cert": "/none", "tls_key": "/none"}, "tls_cert: /none is not a file"),
        ({"data_dir": "d", "master_key_file": "d/key"}, "must not lie inside"),
        ({"log_level": "loud"}, "log_level"),
        ({"http_public_url": "https://x.example"}, "needs http"),
        ({"http": "127.0.0.1:1", "http_public_url": "http://x.example"}, "must be https"),
        ({"object_store": "gs://bucket"}, "s3://bucket"),
        ({"object_store": "s3://b", "object_store_endpoint": "x"}, "object_store_endpoint"),
        ({"object_store": "s3://b", "object_store_access_key": "k"}, "set both or neither"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_remedy(flags: dict, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        load_settings(flags)


def test_a_config_file_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("= nonsense")
    for path in (tmp_path / "none.toml", broken):
        with pytest.raises(SettingError, match=path.name):
            load_settings({}, path)


def test_variables_that_are_no_settings_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERIMAGE_LISSEN", "x")
    assert load_settings({}).unknown_variables == ("AFTERIMAGE_LISSEN",)


def test_the_master_key_lies_beside_the_data_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERIMAGE_MASTER_KEY", "secret-words")
    settings = load_settings({"data_dir": "/srv/af/data"}).settings
    assert settings.key_file == Path("/srv/af/data.master-key")
    assert "secret-words" not in repr(settings) + settings.model_dump_json()


def test_a_key_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("af_live_x\n")
    monkeypatch.setenv("AFTERIMAGE_API_KEY_FILE", str(tmp_path / "key"))
    assert client_settings().api_key == "af_live_x"


def test_addresses_and_loopback() -> None:
    assert split_address("[::1]:5", "x") == ("::1", 5)
    assert [is_loopback(h) for h in ("127.0.0.9", "::1", "localhost", "0.0.0.0", "10.0.0.1", "shop.example")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
