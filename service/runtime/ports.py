"""Checks that the ports of a server are free before anything is created, and names its Unix sockets."""

from __future__ import annotations

import errno
import hashlib
import ipaddress
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from service.errors import SettingError
from service.settings.addresses import is_address, split_address

_MOST_PATH_BYTES = 100  # the kernel's limit is 108 bytes
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_Place = tuple[socket.AddressFamily, tuple[object, ...]]


def unix_socket_path(folder: Path, name: str) -> Path:
    """A socket in the folder, or in the temporary directory if that path is too long."""
    inside = folder / name
    if len(str(inside).encode()) <= _MOST_PATH_BYTES:
        return inside
    unique = hashlib.sha256(str(inside).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"afterimage-{os.getuid()}-{unique}.sock"


def check_free(addresses: Mapping[str, str]) -> None:
    """Binds all addresses at once for a test. `addresses`: HOST:PORT by name of the setting; empty ones are ignored.

    Raises SettingError.
    """
    taken: dict[_Place, str] = {}
    with ExitStack() as sockets:
        for setting, address in addresses.items():
            places = _resolved(setting, address) if address else set()
            for place in places & taken.keys():
                raise SettingError.about(
                    setting, f"{address} is also the address of `{taken[place]}`; set another port"
                )
            errors = [error for place in places if (error := _bound(place, sockets)) is not None]
            for error in errors:
                if error.errno not in _ABSENT or len(errors) == len(places):
                    raise SettingError.about(setting, f"{address} {_description(error, setting)}")
            taken |= {place: setting for place in places if place[1][1]}  # port 0 takes any


@contextmanager
def reserved(setting: str, address: str) -> Iterator[str]:
    """HOST:PORT that several processes can listen on. Port 0 becomes a free port, which stays reserved as long as the
    block runs: a socket that does not listen gets no connections. Raises SettingError."""
    host, port = address.rsplit(":", 1)
    if int(port):
        yield address
        return
    family, place = min(_resolved(setting, address))
    with socket.socket(family, socket.SOCK_STREAM) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            held.bind(place)
        except OSError as error:
            raise SettingError.about(setting, f"{address} {_description(error, setting)}") from None
        yield f"{host}:{held.getsockname()[1]}"


def _resolved(setting: str, address: str) -> set[_Place]:
    host, port = split_address(address, setting)
    if is_address(host) and "%" not in host:  # no look-up necessary
        is_old = ipaddress.ip_address(host).version == 4
        return {(socket.AF_INET, (host, port)) if is_old else (socket.AF_INET6, (host, port, 0, 0))}
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SettingError.about(setting, f"unknown host {host!r}: {error}") from None
    return {(family, place) for family, _, _, _, place in found}


def _bound(place: _Place, sockets: ExitStack) -> OSError | None:
    family, address = place
    try:
        tried = sockets.enter_context(socket.socket(family, socket.SOCK_STREAM))
        if family == socket.AF_INET6:
            tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignores connections in TIME_WAIT
        tried.bind(address)
        tried.listen(1)
    except OSError as error:
        return error
    return None


def _description(error: OSError, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"is in use by another process; stop it, or set another port with --{setting}"
    if error.errno == errno.EACCES:
        return f"cannot be bound by this user; set a port above 1023 with --{setting}"
    if error.errno in _ABSENT:
        return f"is not an address of this machine; set another with --{setting}"
    return f"cannot be bound: {error.strerror}"


def make_folder(path: Path) -> None:
    """Makes a folder that only this user may enter, if there is none. Raises OSError; SettingError where something else
    is at the path."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except FileExistsError as error:
        message = f"{path} is not a folder: move it away, and the next start creates it"
        raise SettingError.about("data_dir", message) from error


def free_name(path: Path) -> None:
    """Removes the socket that a killed process left, if any. Raises OSError; SettingError for a folder."""
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError as error:
        message = f"{path} is a folder: move it away, and the next start creates a socket"
        raise SettingError.about("data_dir", message) from error
