"""Unusable ports: the message names the setting and the remedy, and nothing is created."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.composition import run
from service.config import load_settings
from service.errors import SettingError
from service.runtime.ports import check_free


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


@pytest.mark.parametrize("setting", ["listen", "http"])
def test_a_port_of_another_process_stops_the_start_before_anything_is_made(
    setting: str, taken: str, tmp_path: Path
) -> None:
    given = {"listen": "127.0.0.1:0", "http": "127.0.0.1:0", setting: taken}
    data = {"data_dir": tmp_path / "data", "master_key_file": tmp_path / "key", "strict_forgetting": False}
    settings = load_settings({**data, **given}).settings

    def ready(_: object) -> None:
        raise AssertionError("the server started")

    with pytest.raises(SettingError, match=f"^{setting}: {taken} is in use by another process.*--{setting}$"):
        asyncio.run(run.serve(settings, ready))
    assert list(tmp_path.iterdir()) == []


def test_free_ports_pass_and_are_free_afterwards(taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = f"127.0.0.1:{other.getsockname()[1]}"
    for _ in range(2):
        check_free({"listen": free, "http": "127.0.0.1:0"})
    check_free({"listen": "127.0.0.1:0", "http": "127.0.0.1:0"})
    check_free({"listen": "localhost:0", "http": ""})


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("192.0.2.1:50051", "192.0.2.1:50051 is not an address of this machine"),
        ("shop..example:50051", "unknown host 'shop..example'"),
        ("[2001:db8::1]:50051", "is not an address of this machine"),
    ],
)
def test_addresses_that_this_machine_does_not_have_are_named(listen: str, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        check_free({"listen": listen, "http": ""})
    assert str(caught.value).startswith("listen: ")
    assert said in str(caught.value)


def test_one_port_for_both_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = f"127.0.0.1:{other.getsockname()[1]}"
    with pytest.raises(SettingError, match=r"^http: .* is also the address of `listen`"):
        check_free({"listen": free, "http": free})
