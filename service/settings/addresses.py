"""Addresses in settings: HOST:PORT, and which of them only this machine can reach."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit, urlunsplit

from service.errors import SettingError


def split_address(text: str, setting: str) -> tuple[str, int]:
    """HOST:PORT, or [IPv6]:PORT. Raises SettingError."""
    host, separator, port = text.rpartition(":")
    if not separator or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535 or not host:
        raise SettingError.about(setting, f"{text!r} is not HOST:PORT, such as 127.0.0.1:50051")
    return host.strip("[]"), int(port)


def traces_url(endpoint: str) -> str:
    """The URL that spans are sent to: with the path of the protocol if it has none."""
    parts = urlsplit(endpoint)
    return endpoint if parts.path.strip("/") else urlunsplit(parts._replace(path="/v1/traces"))


def is_address(host: str) -> bool:
    """Whether the host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. Names other than localhost count as reachable from others."""
    return ipaddress.ip_address(host).is_loopback if is_address(host) else host == "localhost"
