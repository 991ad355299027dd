"""Unusable ports: the message names the setting and the remedy, and nothing is created."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.composition import run
from service.config import load_settings
from service.errors import SettingError
from service.runtime.ports import check_free, reserved


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


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_free_port_is_kept_for_those_that_share_it_and_for_nobody_else(host: str) -> None:
    with reserved("listen", f"{host}:0") as address:
        port = int(address.removeprefix(f"{host}:"))
        family = socket.getaddrinfo(host, 0)[0][0]
        with socket.socket(family) as first, socket.socket(family) as second, socket.socket(family) as other:
            for one in (first, second):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                one.bind((host, port))
                one.listen()
            with pytest.raises(OSError, match="in use"):
                other.bind((host, port))


def test_a_port_that_is_given_is_taken_as_it_is(taken: str) -> None:
    with reserved("listen", taken) as address:
        assert address == taken
