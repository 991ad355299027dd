"""All settings of a server, with types, defaults and descriptions.

docs/configuration.md has one heading for each (a test compares).
"""

from __future__ import annotations

import json
import os
import re
import resource
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.settings.addresses import is_loopback, split_address

_PREFIX = "AFTERIMAGE_"


def _split(value: object) -> object:
    """A list in the syntax of the environment: `one,two` or JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part for part in re.split(r"[,\s]+", value) if part]


Positive = Annotated[int, Field(ge=1, le=2**53)]
Bytes = Annotated[int, Field(ge=0, le=2**53)]
Int32 = Annotated[int, Field(ge=1, le=2**31 - 1)]  # the range of gRPC's integers
Rate = Annotated[float, Field(gt=0, le=1_000_000)]
Batch = Annotated[int, Field(ge=0, le=4096)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]  # at most a year, because infinite timeouts are useless
Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Settings(BaseSettings):
    """All settings of a server. Units are in the names."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_ignore_empty=True, enable_decoding=False, extra="forbid", frozen=True
    )

    data_dir: Path = Field(Path("afterimage-data"), description="Data directory. One server at a time can use it.")
    processes: int = Field(
        1, ge=1, le=64,
        description="Number of processes that answer calls. 1: one does all; more: one writes, the others answer "
        "searches.",
    )  # fmt: skip
    region: str = Field("", pattern="^[a-z0-9-]{0,32}$", description="Region of the data. New tenants are bound to it.")
    listen: str = Field(
        "127.0.0.1:50051", description="Address of the gRPC server, HOST:PORT. Port 0 selects a free port."
    )
    http: str = Field(
        "", description="Address of the HTTP server: API, metrics, health and links, HOST:PORT. Empty: disabled."
    )
    http_tls: bool | None = Field(
        None, description="Serve TLS on `http`. Unset: if tls_cert is set, unless loopback or http_proxies."
    )
    metrics: str = Field(
        "", description="Address of a port for metrics and health alone, plain HTTP, HOST:PORT. Empty: on `http`."
    )
    metrics_token_file: Path | None = Field(
        None, description="File with a token that readers of /metrics must show as a bearer. Unset: no token."
    )
    http_public_url: str = Field("", description="Public URL of `http`, for links. Empty: loopback only.")
    http_proxies: Names = Field((), description="Networks of proxies that terminate TLS in front of `http`, CIDR.")
    http_hosts: Names = Field((), description="Host names that the API on `http` answers to, besides addresses.")
    max_http_connections_per_address: Positive = Field(
        500, description="Maximum number of connections to `http` from one address that is not in http_proxies."
    )
    http_head_timeout_s: Seconds = Field(20.0, description="Timeout for the headers of a request to `http`, seconds.")
    keyless_block_s: float = Field(
        10.0, ge=0, le=3600,
        description="Seconds for which an address is ignored that opens connections without end, but uses no key.",
    )  # fmt: skip
    ximilar_door: bool = Field(
        False, description="Serve Ximilar's API for similarity search on `http`, below /ximilar/."
    )
    console: bool | None = Field(
        None, description="Serve the console, a page for browsers, at / of `http`. Unset: if `http` is on loopback."
    )
    console_picture_hosts: Names = Field(
        (), description="Hosts that the console may show pictures from, of collections that keep URLs."
    )
    tls_cert: Path | None = Field(
        None, description="Server certificate chain, PEM. Required unless listen is loopback."
    )
    tls_key: Path | None = Field(None, description="Private key of tls_cert, PEM.")
    client_ca: Path | None = Field(
        None, description="CA of client certificates, PEM. If set, clients must present one."
    )
    client_crl: Path | None = Field(None, description="Certificate revocation list of client_ca, PEM.")
    master_key_file: Path | None = Field(None, description="File of the master key. Unset: <data_dir>.master-key.")
    master_key: SecretStr | None = Field(None, description="The master key, base64, instead of a file.")
    master_key_command: str = Field("", description="Command that prints the master key, base64, instead of a file.")
    object_store: str = Field("", description="s3://bucket/prefix for stored pictures. Empty: a folder of data_dir.")
    object_store_endpoint: str = Field("", description="URL of an S3 service other than Amazon's.")
    object_store_region: str = Field("", description="Region of the bucket. Empty: the default region.")
    object_store_access_key: str = Field(
        "", description="Access key of the bucket. Empty: the default credential chain."
    )
    object_store_secret_key: SecretStr | None = Field(None, description="Secret key of object_store_access_key.")
    redis_url: str = Field("", description="redis://, rediss:// or unix:// URL. Empty: an embedded Redis.")
    store_url: SecretStr | None = Field(
        None, description="postgresql:// URL of a database that keeps records and tenants. Unset: the data directory."
    )
    encoders_dir: Path | None = Field(None, description="Directory with one folder per custom encoder.")
    default_encoder: str = Field("builtin", description="Encoder of new collections that specify none.")
    detectors_dir: Path | None = Field(None, description="Directory with one folder per custom detector.")
    detector: str = Field("builtin", description="Detector of objects in pictures.")
    model_provider: Literal["cpu", "cuda", "tensorrt", "openvino"] = Field(
        "cpu", description="ONNX Runtime execution provider."
    )
    model_threads: int = Field(0, ge=0, le=1024, description="Threads per model session. 0: measured at start.")
    max_batch_size: Batch = Field(0, description="Maximum number of pictures per model run. 0: measured at start.")
    max_queue_size: Positive = Field(512, description="Maximum number of queued and running pictures.")
    max_queue_bytes: Positive = Field(
        256 * 1024 * 1024, description="Maximum size of all queued and running pictures, bytes."
    )
    max_search_wait_s: Seconds = Field(0.25, description="Maximum estimated wait of a search by picture, seconds.")
    decode_processes: int = Field(
        0, ge=0, le=1024, description="Number of sandboxed decoder processes. 0: one per core."
    )
    decode_timeout_s: Seconds = Field(10.0, description="Timeout for decoding one picture, seconds.")
    max_image_bytes: Positive = Field(16 * 1024 * 1024, description="Maximum size of one picture, bytes.")
    max_image_pixels: Positive = Field(64_000_000, description="Maximum width times height of one picture.")
    max_image_side: Positive = Field(16_384, description="Maximum longer side of one picture, pixels.")
    image_formats: Names = Field((), description="Additional picture formats: avif, heic, tiff, jxl.")
    max_image_ratio: Positive = Field(50, description="Maximum ratio of the longer to the shorter side of one picture.")
    fetch_urls: bool = Field(True, description="Fetch pictures given as a URL.")
    fetch_http: bool = Field(False, description="Also fetch over plain http.")
    fetch_networks: Names = Field((), description="Non-public networks, CIDR, that may be fetched from.")
    fetch_timeout_s: Seconds = Field(15.0, description="Timeout for fetching one picture, seconds.")
    fetch_per_host: Positive = Field(4, description="Maximum number of concurrent requests per host.")
    fetch_rate_per_host: Rate = Field(10.0, description="Maximum number of requests per host and second.")
    feeds_dir: Path | None = Field(None, description="Directory with a folder per tenant whose files can be sources.")
    feed_timeout_s: Seconds = Field(1800.0, description="Timeout for fetching one catalogue feed, seconds.")
    sync_runs: int = Field(
        2, ge=0, le=1024, description="Maximum number of concurrent sync runs on this server. 0: none."
    )
    worker_secret: SecretStr | None = Field(
        None, description="Shared secret of workers on other machines. Unset: no workers."
    )
    max_index_bytes: Bytes = Field(
        0, description="Memory for loaded collections, bytes. 0: half of the available memory."
    )
    max_message_bytes: Int32 = Field(20 * 1024 * 1024, description="Maximum size of one gRPC message, bytes.")
    max_concurrent_calls: Int32 = Field(128, description="Maximum number of concurrent calls.")
    max_streams: Int32 = Field(256, description="Maximum number of open streams.")
    max_connections: int = Field(
        0, ge=0, le=2**31 - 1, description="Maximum number of connections. 0: a quarter of the open-file limit."
    )
    max_in_flight_bytes: Bytes = Field(
        0, description="Maximum bytes of requests and responses in flight. 0: 1/16 of memory, at least 512 MiB."
    )
    message_timeout_s: Seconds = Field(30.0, description="Timeout for the message of a call, seconds.")
    stream_idle_timeout_s: Seconds = Field(
        300.0, description="Timeout between two messages of a client's stream, seconds."
    )
    send_timeout_s: Seconds = Field(60.0, description="Timeout for a peer to read a response, seconds.")
    min_ping_interval_s: Seconds = Field(5.0, description="Minimum interval of HTTP/2 pings, seconds.")
    max_failed_auths_per_s: float = Field(
        10.0, ge=0, le=1e6, description="Failed authentications per address and second that are logged. 0: no limit."
    )
    default_deadline_s: Seconds = Field(30.0, description="Deadline of calls that set none, seconds.")
    max_deadline_s: Seconds = Field(120.0, description="Maximum deadline, seconds.")
    drain_timeout_s: Seconds = Field(15.0, description="Time for running calls to finish at shutdown, seconds.")
    snapshot_timeout_s: Seconds = Field(8.0, description="Time to begin snapshots at shutdown, seconds.")
    min_free_disk_bytes: Bytes = Field(
        64 * 1024 * 1024, description="Minimum free disk space for health to report SERVING, bytes."
    )
    strict_forgetting: bool = Field(False, description="Do not start if freed memory is not overwritten.")
    reflection: bool = Field(False, description="Enable gRPC reflection, which shows the API to anyone who connects.")
    trace_endpoint: str = Field(
        "", description="URL of an OpenTelemetry collector, OTLP over HTTP, for spans of calls. Empty: no spans."
    )
    trace_share: float = Field(
        0.1, ge=0, le=1, description="Share of the calls and runs that are traced, 0 to 1, unless the caller decides."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Minimum log level.")
    log_format: Literal["json", "console"] = Field(
        "json", description="Log format: JSON lines, or readable text for a terminal."
    )

    @property
    def key_file(self) -> Path:
        """The path of the master key, which is never inside the data directory."""
        data = self.data_dir.resolve()
        return self.master_key_file or data.with_name(data.name + ".master-key")

    @property
    def http_metrics_open(self) -> bool:
        """Whether /metrics on `http` needs no token: if no other machine reaches the port without a certificate."""
        if not self.http or (self.client_ca is not None and self.http_secure):
            return True
        return not self.http_proxies and is_loopback(split_address(self.http, "http")[0])

    @property
    def http_secure(self) -> bool:
        """Whether `http` speaks TLS."""
        if self.http_tls is not None or not self.http or self.tls_cert is None:
            return bool(self.http_tls)
        return not self.http_proxies and not is_loopback(split_address(self.http, "http")[0])

    @property
    def console_on(self) -> bool:
        """Whether `http` serves the console."""
        if self.console is not None or not self.http:
            return bool(self.console)
        return is_loopback(split_address(self.http, "http")[0])

    @property
    def console_picture_origins(self) -> tuple[str, ...]:
        """`console_picture_hosts` as origins; https is the default."""
        return tuple(host if "://" in host else f"https://{host}" for host in self.console_picture_hosts)

    @property
    def index_bytes(self) -> int:
        """Memory for collections in bytes: the setting, or half the memory of the machine or control group."""
        return self.max_index_bytes or memory_bytes() // 2

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of requests and answers in flight: the setting, or a sixteenth of the memory."""
        return self.max_in_flight_bytes or max(512 * 1024 * 1024, memory_bytes() // 16)

    @property
    def collection_files(self) -> int:
        """Open files for collections in memory: half the limit of this process."""
        return open_files_limit() // 2

    @property
    def connections(self) -> int:
        """Concurrent connections: the setting, or a quarter of this process's limit of open files."""
        return self.max_connections or max(1, open_files_limit() // 4)

    @property
    def cores(self) -> int:
        """The number of cores available to this process."""
        return len(os.sched_getaffinity(0))


def memory_bytes() -> int:
    """The memory available to this process, in bytes."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return physical
    return min(physical, int(limit)) if limit.isdigit() else physical


def open_files_limit() -> int:
    """The limit of open files of this process. A server raises it to the hard limit at its start."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
