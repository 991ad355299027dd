"""Checks of settings that their types cannot express: what must fit together, and what must exist."""

from __future__ import annotations

import ipaddress
import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from service.errors import SettingError
from service.settings.addresses import is_loopback, split_address
from service.settings.model import Settings

_SENTINEL_SCHEMES = ("sentinel", "sentinel+tls")
_REDIS_SCHEMES = ("redis", "rediss", "unix", *_SENTINEL_SCHEMES)
# Part of a policy for browsers, so nothing else may be in it. Plain HTTP only from this machine.
_PICTURE_HOST = re.compile(
    r"(https://)?(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?|http://(localhost|127\.0\.0\.1)(:([0-9]{1,5}|\*))?",
    re.IGNORECASE | re.ASCII,
)
_SHORTEST_TOKEN = 16
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_settings(settings: Settings) -> None:
    """Raises SettingError, naming the setting and the remedy."""
    for name, value in settings:
        if isinstance(value, str | Path) and _CONTROL.search(str(value)):
            raise SettingError.about(name, "contains a control character, such as a line end; remove it")
    if settings.data_dir.exists() and not settings.data_dir.is_dir():
        raise SettingError.about("data_dir", f"{settings.data_dir} is not a directory; set another one")
    host, _ = split_address(settings.listen, "listen")
    if settings.ximilar_door and not settings.http:
        raise SettingError.about("ximilar_door", "needs http, the address that it is served on")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise SettingError.about(("tls_cert", "tls_key"), "set both or neither")
    if settings.client_ca is not None and settings.tls_cert is None:
        raise SettingError.about("client_ca", "needs tls_cert and tls_key")
    if settings.client_crl is not None and settings.client_ca is None:
        raise SettingError.about("client_crl", "needs client_ca")
    if settings.tls_cert is None and not is_loopback(host):
        raise SettingError.about("listen", f"{host} can be reached from other machines; set tls_cert and tls_key")
    _check_http(settings)
    _check_traces(settings.trace_endpoint)
    if settings.key_file.resolve().is_relative_to(settings.data_dir.resolve()):
        raise SettingError.about(
            "master_key_file", "must not be inside data_dir; a backup of the data would contain its own key"
        )
    for name in ("fetch_networks", "http_proxies"):
        for network in getattr(settings, name):
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise SettingError.about(name, f"{error}; specify networks such as 10.1.0.0/16") from None
    if settings.master_key and settings.master_key_command:
        raise SettingError.about(("master_key", "master_key_command"), "set only one of them")
    secret = settings.worker_secret.get_secret_value() if settings.worker_secret else ""
    if settings.worker_secret is not None and len(secret) < 32:
        raise SettingError.about(
            "worker_secret", "needs at least 32 characters, for example from `openssl rand -hex 32`"
        )
    if settings.in_flight_bytes < 4 * settings.max_message_bytes:
        raise SettingError.about("max_in_flight_bytes", "must hold at least four messages of max_message_bytes")
    _check_places(settings)
    for name in ("tls_cert", "tls_key", "client_ca", "client_crl"):
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            raise SettingError.about(name, f"{path} is not a file")


def _check_http(settings: Settings) -> None:
    if settings.console and not settings.http:
        raise SettingError.about("console", "needs http, the address that it is served on")
    for place in settings.console_picture_hosts:
        if not _PICTURE_HOST.fullmatch(place):
            raise SettingError.about("console_picture_hosts", f"{place!r} is no host such as cdn.shop.example")
    if settings.metrics:
        split_address(settings.metrics, "metrics")
    _check_metrics_token(settings.metrics_token_file)
    if settings.http_tls and settings.tls_cert is None:
        raise SettingError.about("http_tls", "needs tls_cert and tls_key")
    if not settings.http:
        return
    host, _ = split_address(settings.http, "http")
    if not settings.http_secure and not settings.http_proxies and not is_loopback(host):
        remedy = "remove http_tls = false" if settings.tls_cert is not None else "set tls_cert and tls_key"
        message = (
            f"{host} can be reached from other machines, and API keys must not travel in plain text; {remedy}, or "
            "http_proxies if a proxy terminates TLS, or use the setting metrics for metrics and health alone"
        )
        raise SettingError.about("http", message)


def _check_metrics_token(path: Path | None) -> None:
    if path is None:
        return
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise SettingError.about("metrics_token_file", f"{path}: {error.strerror}") from None
    if len(token) < _SHORTEST_TOKEN or not re.fullmatch(rb"[!-~]+", token):
        message = f"{path} must contain one line of at least {_SHORTEST_TOKEN} ASCII characters without blanks"
        raise SettingError.about("metrics_token_file", f"{message}, for example from `openssl rand -hex 32`")


def _check_traces(endpoint: str) -> None:
    if not endpoint:
        return
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise SettingError.about("trace_endpoint", f"is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        message = f"{endpoint!r} is not a URL such as https://collector.example:4318/v1/traces"
        raise SettingError.about("trace_endpoint", message)
    if parts.username is not None or parts.password is not None:
        message = "must contain no user name or password; set OTEL_EXPORTER_OTLP_HEADERS in the environment"
        raise SettingError.about("trace_endpoint", message)
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingError.about(
            "trace_endpoint", f"{host} is another machine; use https:// so that spans are encrypted"
        )


def _check_places(settings: Settings) -> None:
    for name in ("http_public_url", "object_store_endpoint", "redis_url"):
        try:
            parts = urlsplit(getattr(settings, name))
            if parts.scheme not in _SENTINEL_SCHEMES:  # their URLs contain several hosts
                parts.port  # noqa: B018 - the property raises if the port is invalid
        except ValueError as error:
            raise SettingError.about(name, f"is not a URL: {error}") from None
    if settings.redis_url and urlsplit(settings.redis_url).scheme not in _REDIS_SCHEMES:
        raise SettingError.about("redis_url", f"must begin with {', '.join(f'{s}://' for s in _REDIS_SCHEMES)}")
    _check_store(settings)
    public = urlsplit(settings.http_public_url)
    if settings.http_public_url and not settings.http:
        raise SettingError.about("http_public_url", "needs http")
    loopback = public.scheme == "http" and is_loopback(public.hostname or "")
    if settings.http_public_url and not loopback and not (public.scheme == "https" and public.netloc):
        raise SettingError.about(
            "http_public_url", "must be https://…, served by `http` or by a proxy with TLS, because links are secrets"
        )
    if settings.object_store and not re.fullmatch(r"s3://[^/\s]+(/\S*)?", settings.object_store):
        raise SettingError.about(
            "object_store", "must be s3://bucket or s3://bucket/prefix; empty: a folder of data_dir"
        )
    if settings.object_store_endpoint and urlsplit(settings.object_store_endpoint).scheme not in ("http", "https"):
        raise SettingError.about("object_store_endpoint", "must be an http:// or https:// URL")
    if bool(settings.object_store_access_key) != (settings.object_store_secret_key is not None):
        raise SettingError.about(("object_store_access_key", "object_store_secret_key"), "set both or neither")


def _check_store(settings: Settings) -> None:
    if settings.store_url is None:
        return
    try:
        scheme = urlsplit(settings.store_url.get_secret_value()).scheme
    except ValueError:
        raise SettingError.about("store_url", "is not a URL") from None
    if scheme not in ("postgresql", "postgres"):
        raise SettingError.about("store_url", "must begin with postgresql://")
    if find_spec("psycopg") is None:
        raise SettingError.about("store_url", "needs the package psycopg: pip install 'afterimage-server[postgresql]'")
