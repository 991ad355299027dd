from pathlib import Path
from typing import Any

import pytest

from service.config import client_settings, load_settings
from service.errors import SettingError
from service.setting_errors import Origins
from service.settings.addresses import is_loopback, split_address, traces_url
from service.settings.model import Settings
from tests.support.servers.tls import make_certificates


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
        ({"no_such": 1}, "no_such: unknown setting"),
        ({"listen": "nonsense"}, "listen: 'nonsense' is not HOST:PORT"),
        ({"listen": "127.0.0.1:99999"}, "HOST:PORT"),
        ({"listen": "0.0.0.0:50051"}, "set tls_cert and tls_key"),
        ({"http": "0.0.0.0:80"}, "http: 0.0.0.0 can be reached.*set tls_cert and tls_key, or http_proxies"),
        ({"http": "[::]:80", "http_tls": False}, "http: :: can be reached"),
        ({"http": "127.0.0.1:80", "http_tls": True}, "http_tls: needs tls_cert and tls_key"),
        ({"metrics": "x"}, "metrics: 'x' is not HOST:PORT"),
        ({"listen": "example.org:50051"}, "set tls_cert and tls_key"),
        ({"tls_cert": "x"}, "set both or neither"),
        ({"client_ca": "x"}, "needs tls_cert"),
        ({"tls_cert": "/none", "tls_key": "/none"}, "tls_cert: /none is not a file"),
        ({"data_dir": "d", "master_key_file": "d/key"}, "must not be inside"),
        ({"log_level": "loud"}, "log_level"),
        ({"http_public_url": "https://x.example"}, "needs http"),
        ({"ximilar_door": "true"}, "needs http"),
        ({"console": True}, "console: needs http"),
        ({"console_picture_hosts": "a.example;script-src *"}, "'a.example;script-src' is no host"),
        ({"console_picture_hosts": '["x; script-src *"]'}, "is no host"),
        ({"console_picture_hosts": "http://a.example"}, "is no host"),
        ({"console_picture_hosts": "*"}, "is no host"),
        ({"http": "127.0.0.1:1", "http_public_url": "http://x.example"}, "must be https"),
        ({"store_url": "mysql://db.example/records"}, "store_url: must begin with postgresql://"),
        ({"trace_endpoint": "collector:4318"}, "trace_endpoint: 'collector:4318' is not a URL such as https://"),
        ({"trace_endpoint": "grpc://127.0.0.1:4317"}, "is not a URL"),
        ({"trace_endpoint": "https://"}, "is not a URL"),
        ({"trace_endpoint": "https://c.example:x"}, "trace_endpoint: is not a URL"),
        ({"trace_endpoint": "http://collector.example:4318"}, "collector.example is another machine; use https://"),
        ({"trace_endpoint": "https://u:p@c.example"}, "no user name or password; set OTEL_EXPORTER_OTLP_HEADERS"),
        ({"trace_share": 1.5}, "trace_share"),
        ({"trace_share": "nan"}, "trace_share"),
        ({"object_store": "gs://bucket"}, "s3://bucket"),
        ({"object_store": "s3://b", "object_store_endpoint": "x"}, "object_store_endpoint"),
        ({"object_store": "s3://b", "object_store_access_key": "k"}, "set both or neither"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_remedy(flags: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        load_settings(flags)


@pytest.mark.parametrize(
    ("flags", "served"),
    [
        ({}, False),
        ({"http": "127.0.0.1:80"}, True),
        ({"http": "localhost:80"}, True),
        ({"http": "127.0.0.1:80", "console": False}, False),
        ({"http": "0.0.0.0:80", "http_proxies": "10.0.0.0/8"}, False),
        ({"http": "0.0.0.0:80", "http_proxies": "10.0.0.0/8", "console": True}, True),
    ],
)
def test_the_console_is_served_on_loopback_and_elsewhere_if_it_is_wanted(flags: dict[str, Any], served: bool) -> None:
    assert load_settings(flags).settings.console_on == served


def test_hosts_of_pictures_are_origins_of_https_unless_they_say_otherwise() -> None:
    given = "cdn.shop.example,*.shop.example:8443,https://a.example,http://127.0.0.1:*"
    assert load_settings({"console_picture_hosts": given}).settings.console_picture_origins == (
        "https://cdn.shop.example", "https://*.shop.example:8443", "https://a.example", "http://127.0.0.1:*",
    )  # fmt: skip


def test_a_config_file_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("= nonsense")
    for path in (tmp_path / "none.toml", broken):
        with pytest.raises(SettingError, match=path.name):
            load_settings({}, path)


def test_variables_that_are_no_settings_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERIMAGE_LISSEN", "x")
    monkeypatch.setenv("AFTERIMAGE_NOTHING_LIKE_IT_AT_ALL", "x")
    assert load_settings({}).warnings == (
        "AFTERIMAGE_LISSEN is not a setting; did you mean AFTERIMAGE_LISTEN?",
        "AFTERIMAGE_NOTHING_LIKE_IT_AT_ALL is not a setting; docs/configuration.md lists them",
    )


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


BAD = ["many", "-1", "1.5", "nan", "inf", "99999999999999999999", "[", "maybe", "a\x01b", "http://[", "=", "/none/x"]
NAMES = list(Settings.model_fields)


def test_spans_go_to_the_path_of_the_protocol_unless_the_url_has_one() -> None:
    assert (
        traces_url("http://127.0.0.1:4318") == traces_url("http://127.0.0.1:4318/") == "http://127.0.0.1:4318/v1/traces"
    )
    assert traces_url("https://c.example/otlp?x=1") == "https://c.example/otlp?x=1"


@pytest.mark.parametrize("name", NAMES)
def test_no_value_of_any_setting_ends_in_anything_but_settings_or_a_line_with_its_name(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    variable = f"AFTERIMAGE_{name.upper()}"
    refused = 0
    for value in BAD:
        monkeypatch.setenv(variable, value)
        try:
            load_settings({})
        except SettingError as error:
            refused += 1
            said = str(error)
            assert name in said.partition(":")[0].split(), said
            assert variable in said, said
            assert "\n" not in said, said
    monkeypatch.delenv(variable)
    assert refused or "key" in name or "secret" in name  # the control character, at least
    file = tmp_path / "settings.toml"
    file.write_text(f"{name} = {{}}\n")
    with pytest.raises(SettingError, match=f"^{name}: .*{file}"):
        load_settings({}, file)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MAX_BATCH_SIZE", "many", "max_batch_size: 'many', from AFTERIMAGE_MAX_BATCH_SIZE in the environment, is not "
         "a whole number of at least 0 and at most 4096; change it, or unset it for the default, 0"),
        ("FETCH_URLS", "maybe", "fetch_urls: 'maybe', from AFTERIMAGE_FETCH_URLS in the environment, is not true or "
         "false; change it, or unset it for the default, true"),
        ("MODEL_PROVIDER", "tpu", "model_provider: 'tpu', from AFTERIMAGE_MODEL_PROVIDER in the environment, is not "
         "one of cpu, cuda, tensorrt, openvino; change it, or unset it for the default, cpu"),
        ("LISTEN", "x", "listen: 'x' is not HOST:PORT, such as 127.0.0.1:50051 (listen comes from AFTERIMAGE_LISTEN in "
         "the environment)"),
    ],
)  # fmt: skip
def test_a_malformed_value_is_said_with_its_origin_and_the_remedy(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AFTERIMAGE_{variable}", value)
    with pytest.raises(SettingError) as caught:
        load_settings({})
    assert str(caught.value) == said


def test_the_places_of_the_settings_of_an_error_are_named_whatever_its_text_says() -> None:
    origins = Origins({"tls_cert": "flag", "tls_key": "environment", "listen": "file"}, Path("x.toml"), "AFTERIMAGE_")
    error = SettingError("listen: and other words", ("tls_cert", "tls_key", "http"))
    assert str(origins.added_to(error)) == (
        "listen: and other words (tls_cert comes from the flag --tls-cert; tls_key comes from AFTERIMAGE_TLS_KEY in "
        "the environment)"
    )
    other = SettingError("listen: this is about no setting")
    assert origins.added_to(other) is other
    twice = origins.added_to(origins.added_to(error))
    assert str(twice).count("comes from the flag") == 1


def test_a_value_that_is_a_secret_is_not_said(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("worker_secret = 12345678\n")
    with pytest.raises(SettingError) as caught:
        load_settings({}, file)
    assert "12345678" not in str(caught.value)


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("max_batch_size = 3\n")
    monkeypatch.setenv("AFTERIMAGE_MAX_BATCH_SIZE", "")
    loaded = load_settings({}, file)
    assert (loaded.settings.max_batch_size, loaded.origins["max_batch_size"]) == (3, "file")


@pytest.mark.parametrize(
    "text", ['["10.0.0.0/8", "192.168.0.0/16"]', "10.0.0.0/8,192.168.0.0/16", "10.0.0.0/8 192.168.0.0/16"]
)
def test_a_list_may_be_json_or_separated(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERIMAGE_FETCH_NETWORKS", text)
    assert load_settings({}).settings.fetch_networks == ("10.0.0.0/8", "192.168.0.0/16")


def test_a_config_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match=r"settings\.toml: not UTF-8 text"):
        load_settings({}, file)
    file.write_text('lissen = "127.0.0.1:1"\n')
    with pytest.raises(SettingError, match=r"lissen: unknown setting .*settings\.toml.* did you mean listen\?"):
        load_settings({}, file)


@pytest.mark.parametrize(
    ("given", "secure"),
    [
        ({"http": "0.0.0.0:80"}, True), ({"http": "search.shop.example:80"}, True), ({"http": "127.0.0.1:80"}, False),
        ({"http": "localhost:80"}, False), ({"http": "0.0.0.0:80", "http_proxies": "10.0.0.0/8"}, False),
        ({"http": "0.0.0.0:80", "http_proxies": "10.0.0.0/8", "http_tls": "true"}, True),
        ({"http": "127.0.0.1:80", "http_tls": "true"}, True), ({}, False),
    ],
)  # fmt: skip
def test_http_speaks_tls_where_other_machines_reach_it_without_a_proxy(
    tmp_path: Path, given: dict[str, object], secure: bool
) -> None:
    made = make_certificates(tmp_path)
    files = {"tls_cert": made.server_cert, "tls_key": made.server_key}
    settings = load_settings({**given, **files}).settings
    assert settings.http_secure is secure
    with pytest.raises(SettingError, match="remove http_tls = false"):
        load_settings({"http": "0.0.0.0:80", "http_tls": False, **files})
