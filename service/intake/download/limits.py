"""Limits of downloads."""

from __future__ import annotations

from dataclasses import dataclass

from service.intake.download.addresses import Network


@dataclass(frozen=True)
class FetchLimits:
    """Limits of one download.

    - `max_bytes`: maximum size of a body.
    - `total_s`, `connect_s`, `silence_s`: time limits for the whole download, for connecting, and between two parts.
    - `least_rate`: minimum bytes per second, after the first three seconds.
    - `http`: allow plain http.
    - `exempt`: networks that are not public and may be fetched from, on any port and by http.
    - `connections`: maximum number of open connections.
    - `what`: the name of the content in error messages.
    - `accept`: media types for the Accept header.
    """

    max_bytes: int = 16 * 1024 * 1024
    total_s: float = 15.0
    connect_s: float = 3.0
    silence_s: float = 5.0
    least_rate: int = 1024
    redirects: int = 3
    http: bool = False
    exempt: tuple[Network, ...] = ()
    connections: int = 64
    what: str = "picture"
    accept: str = "image/*"
