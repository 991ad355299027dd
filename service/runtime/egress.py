"""Every outgoing connection of the service, depending on its settings.

There are no others: no telemetry, no update check, no model download. A test compares OPENED_BY with the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from service.settings.addresses import is_address, split_address
from service.settings.model import Settings

# Modules of `service` and `index` that can open a connection, and the kinds (see below) that they open.
OPENED_BY = {
    "objects.store": ("object store",),
    "records.postgresql.database": ("record store",),
    "intake.download.http_client": ("pictures", "feeds", "webhooks"),
    "intake.download.resolver": ("names",),
    "runtime.ports": ("names",),
    "coordination.connect": ("redis",),
    "coordination.embedded": ("redis",),
    "rpc.worker_client": ("worker to server",),
    "rpc.forwarding.writer_channel": ("forwarded calls",),
    "tracing.export": ("traces",),
    "cli.monitoring.metrics_page": ("metrics page",),
    "tenancy.masterkey": ("master key command",),
}


@dataclass(frozen=True)
class Connection:
    """A kind of connection.

    - `open`: whether the settings allow it.
    - `to`: its possible targets.
    - `why`: what opens it.
    - `off`: how to disable it, or why it never leaves this machine.
    """

    name: str
    open: bool
    to: str
    why: str
    off: str


def connections(settings: Settings) -> list[Connection]:
    """All kinds in order, including disabled ones."""
    web = _web(settings)
    return [
        Connection("pictures", settings.fetch_urls, web, "a record or a query names a URL", "fetch_urls = false"),
        Connection("feeds", settings.fetch_urls, web, "a catalogue source has a URL", "fetch_urls = false"),
        Connection("webhooks", settings.fetch_urls, web, "a source names a webhook", "fetch_urls = false"),
        Connection(
            "names", settings.fetch_urls or _listens_by_name(settings) or _traces_by_name(settings),
            "the system's resolver", "the host of a URL, or one to listen on, is looked up",
            "fetch_urls = false; listen on addresses; trace_endpoint with an address",
        ),
        _redis(settings),
        _object_store(settings),
        _record_store(settings),
        _traces(settings),
        Connection(
            "master key command", bool(settings.master_key_command), settings.master_key_command or "-",
            "the command may ask a key-management service", "use a file or the environment",
        ),
        Connection(
            "worker to server", False, "the server that `afterimage worker --server` names",
            "a worker, not the server, opens it", "run no worker",
        ),
        Connection(
            "metrics page", False, "the server that `afterimage top` names",
            "the command, not the server, opens it", "do not run the command",
        ),
        Connection(
            "forwarded calls", False, "a Unix socket in the data directory",
            "a query process passes a call on to the process that writes", "never leaves this machine",
        ),
    ]  # fmt: skip


def _listens_by_name(settings: Settings) -> bool:
    hosts = [split_address(a, "listen")[0] for a in (settings.listen, settings.http, settings.metrics) if a]
    return any(not is_address(host) and host != "localhost" for host in hosts)


def _traces_by_name(settings: Settings) -> bool:
    host = urlsplit(settings.trace_endpoint).hostname or ""
    return bool(host) and not is_address(host) and host != "localhost"


def _traces(settings: Settings) -> Connection:
    parts = urlsplit(settings.trace_endpoint)
    to = parts.netloc or "-"
    why = "spans of calls and runs: methods, stages, times, counts and codes"
    return Connection("traces", bool(settings.trace_endpoint), to, why, 'trace_endpoint = ""')


def _object_store(settings: Settings) -> Connection:
    why = "pictures that a collection's owner wants kept, sealed"
    if not settings.object_store:
        return Connection("object store", False, "a folder of the data directory", why, "never leaves this machine")
    to = settings.object_store_endpoint or f"Amazon S3, {settings.object_store_region or 'region of the machine'}"
    if not settings.object_store_access_key:
        to += "; for credentials the cloud's metadata service"
    return Connection("object store", True, to, why, 'object_store = ""')


def _record_store(settings: Settings) -> Connection:
    why = "sealed rows of all records"
    if settings.store_url is None:
        return Connection("record store", False, "the data directory", why, "never leaves this machine")
    parts = urlsplit(settings.store_url.get_secret_value())
    return Connection("record store", True, parts.netloc.rpartition("@")[2] or "-", why, "unset store_url")


def _web(settings: Settings) -> str:
    if not settings.fetch_urls:
        return "-"
    inside = f", and {', '.join(settings.fetch_networks)}" if settings.fetch_networks else ""
    schemes = "https or http" if settings.fetch_http else "https"
    return f"{schemes} to public addresses{inside}; a tenant's own list of hosts (`tenants fetch-hosts`) narrows it"


def _redis(settings: Settings) -> Connection:
    why = "runs, rates and which servers there are"
    if not settings.redis_url:
        return Connection("redis", False, "a Unix socket in the data directory", why, "never leaves this machine")
    parts = urlsplit(settings.redis_url)
    hosts = parts.netloc.rpartition("@")[2]
    return Connection("redis", parts.scheme != "unix", hosts or parts.path, why, 'redis_url = ""')
