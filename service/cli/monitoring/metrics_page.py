"""Reads `/metrics` of a server."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from service.cli.output import CommandError, Exit
from service.runtime.clock import SYSTEM_CLOCK
from service.settings.addresses import split_address
from service.settings.model import Settings

_TIMEOUT_S = 5.0
_MOST_BYTES = 64 << 20
_DEFAULT = "127.0.0.1:50080"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a server listens, not this command
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reading:
    """All series at one moment. `at_s`: seconds of a monotonic clock. `series`: values by name and by sorted labels."""

    at_s: float
    series: Mapping[str, Mapping[Labels, float]]

    def each(self, name: str, **wanted: str) -> Iterator[tuple[dict[str, str], float]]:
        """The series of this name with these labels, with all their labels."""
        for labels, value in self.series.get(name, {}).items():
            named = dict(labels)
            if wanted.items() <= named.items():
                yield named, value

    def total(self, name: str, **wanted: str) -> float:
        """The sum of the series of this name with these labels; 0 if there is none."""
        return sum(value for _, value in self.each(name, **wanted))

    def by(self, label: str, name: str, **wanted: str) -> dict[str, float]:
        """Sums by the value of a label."""
        found: dict[str, float] = defaultdict(float)
        for labels, value in self.each(name, **wanted):
            found[labels.get(label, "")] += value
        return dict(found)


@dataclass(frozen=True)
class MetricsPage:
    """Where the metrics are. `token`: to show as a bearer; empty: none. `ca_file`: for https; None: the system's."""

    url: str
    token: str = field(default="", repr=False)
    ca_file: Path | None = None

    def read(self, *, collections: bool) -> Reading:
        """Reads the metrics. `collections`: with those of each collection. Raises CommandError."""
        request = urllib.request.Request(self.url + ("?collections=1" if collections else ""))  # noqa: S310 - checked
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        context = None
        if self.url.startswith("https"):
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _NoRedirects()
        )
        try:
            with opener.open(request, timeout=_TIMEOUT_S) as answer:
                text = answer.read(_MOST_BYTES)
        except urllib.error.HTTPError as error:
            error.close()
            raise _refused(self.url, error.code) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            message = f"{self.url} does not answer: {getattr(reason, 'strerror', None) or reason}"
            hint = "check that the server runs and serves HTTP, or pass --url"
            raise CommandError(f"{message} ({hint})", reason="UNAVAILABLE") from None
        return parsed(text, SYSTEM_CLOCK.elapsed_s())


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token is sent nowhere else."""

    def redirect_request(self, *args: object) -> None:
        return None


def parsed(text: bytes, at_s: float) -> Reading:
    """The series of a page. Raises CommandError if it is no page of metrics."""
    series: dict[str, dict[Labels, float]] = defaultdict(dict)
    try:
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                series[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
    except (ValueError, KeyError, IndexError):
        series.clear()
    if "afterimage_build_info" not in series:
        raise CommandError("the page has no metrics of Afterimage; pass its URL as --url", reason="NOT_METRICS")
    return Reading(at_s, series)


def url_of(given: str, settings: Settings) -> str:
    """The URL of the metrics: as given, HOST:PORT or a URL, or else where the settings have the server listen. Raises
    CommandError."""
    if "://" in given:
        parts = urlsplit(given)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandError(f"--url: {given!r} is not a URL with http or https", reason="USAGE", code=Exit.USAGE)
        return given if parts.path.strip("/") else given.rstrip("/") + "/metrics"
    address = given or settings.metrics or settings.http or _DEFAULT
    host, port = split_address(address, "--url" if given else "http")
    host = host if given else _EVERYWHERE.get(host, host)
    secure = not given and not settings.metrics and settings.http_secure
    return f"{'https' if secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/metrics"


def _refused(url: str, status: int) -> CommandError:
    remedies = {
        401: "pass the file of the setting metrics_token_file as --token-file",
        403: "the server shows metrics on this port only with metrics_token_file, or on the port of metrics",
        404: "the metrics are on the port of the setting metrics",
    }
    remedy = f": {remedies[status]}" if status in remedies else ""
    return CommandError(f"{url} answers {status}{remedy}", reason="METRICS_REFUSED")
