"""Settings: the only module that reads the environment.

A setting comes from a flag, else from `AFTERIMAGE_<NAME>` in the environment, else from the TOML file that `--config`
or AFTERIMAGE_CONFIG names, else from its default. docs/configuration.md has one heading for each (a test compares).
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import resource
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.errors import SettingError
from service.renamed_settings import RENAMED, current_names
from service.setting_errors import Origins, explained, hint

_PREFIX = "AFTERIMAGE_"
_CLIENT_VARIABLES = frozenset({"TARGET", "API_KEY", "API_KEY_FILE", "CA_FILE", "CONFIG", "STATE_DIR"})
_SENTINEL_SCHEMES = ("sentinel", "sentinel+tls")
_REDIS_SCHEMES = ("redis", "rediss", "unix", *_SENTINEL_SCHEMES)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


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
    region: str = Field("", pattern="^[a-z0-9-]{0,32}$", description="Region of the data. New tenants are bound to it.")
    listen: str = Field(
        "127.0.0.1:50051", description="Address of the gRPC server, HOST:PORT. Port 0 selects a free port."
    )
    http: str = Field(
        "", description="Address of the HTTP server: API, metrics, health and links, HOST:PORT. Empty: disabled."
    )
    http_public_url: str = Field("", description="Public URL of `http`, for links. Empty: loopback only.")
    http_proxies: Names = Field((), description="Networks of proxies that terminate TLS in front of `http`, CIDR.")
    http_hosts: Names = Field((), description="Host names that the API on `http` answers to, besides addresses.")
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
    encoders_dir: Path | None = Field(None, description="Directory with one folder per custom encoder.")
    default_encoder: str = Field("builtin", description="Encoder of new collections that specify none.")
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
    drain_timeout_s: Seconds = Field(30.0, description="Time for running calls to finish at shutdown, seconds.")
    min_free_disk_bytes: Bytes = Field(
        64 * 1024 * 1024, description="Minimum free disk space for health to report SERVING, bytes."
    )
    strict_forgetting: bool = Field(False, description="Do not start if freed memory is not overwritten.")
    reflection: bool = Field(False, description="Enable gRPC reflection, which shows the API to anyone who connects.")
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


@dataclass(frozen=True)
class LoadedSettings:
    """Settings, and the origin of each: "flag", "environment", "file" or "default".

    `warnings`: one line for each deprecated name, and for each variable AFTERIMAGE_* that is not a setting.
    """

    settings: Settings
    places: Origins
    warnings: tuple[str, ...]

    @property
    def origins(self) -> Mapping[str, str]:
        return self.places.kinds


def load_settings(flags: Mapping[str, object], config_file: Path | None = None) -> LoadedSettings:
    """Collects, checks and returns the settings. Raises SettingError, naming the setting, its origin and the remedy."""
    in_flags = {name: value for name, value in flags.items() if value is not None}
    path = config_file or (Path(os.environ["AFTERIMAGE_CONFIG"]) if os.environ.get("AFTERIMAGE_CONFIG") else None)
    file = current_names(_read_file(path) if path else {}, lambda name: f"{name} in {path}")
    environment = current_names(_variables(), lambda name: _PREFIX + name.upper())
    in_environment = {n: v for n, v in environment.values.items() if n in Settings.model_fields}
    kinds = {
        **dict.fromkeys(Settings.model_fields, "default"), **dict.fromkeys(file.values, "file"),
        **dict.fromkeys(in_environment, "environment"), **dict.fromkeys(in_flags, "flag"),
    }  # fmt: skip
    old_names = {"file": file.given_as, "environment": environment.given_as}
    given_as = {n: old_names[k][n] for n, k in kinds.items() if n in old_names.get(k, {})}
    origins = Origins(kinds, path, _PREFIX, given_as)
    merged: dict[str, Any] = {**file.values, **in_environment, **in_flags}
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise SettingError(explained(error, Settings, origins, merged)) from None
    try:
        _check(settings)
    except SettingError as error:
        raise origins.added_to(error) from None
    return LoadedSettings(settings, origins, (*file.warnings, *variable_warnings()))


def variable_warnings() -> tuple[str, ...]:
    """One line for each variable AFTERIMAGE_* with a deprecated or unknown name."""
    known = {n.upper() for n in Settings.model_fields} | _CLIENT_VARIABLES
    names = sorted(v for v in os.environ if v.upper().startswith(_PREFIX))
    unknown = [v for v in names if (n := v.upper().removeprefix(_PREFIX)) not in known and n.lower() not in RENAMED]
    deprecated = current_names(_variables(), lambda name: _PREFIX + name.upper()).warnings
    said = [f"{v} is not a setting{hint(v.upper().removeprefix(_PREFIX), known, _PREFIX)}" for v in unknown]
    return (*deprecated, *said)


def _variables() -> dict[str, str]:
    """Settings from the environment, by name in lower case. Empty variables count as unset."""
    named = {v.upper(): text for v, text in os.environ.items() if text}
    return {v.removeprefix(_PREFIX).lower(): text for v, text in named.items() if v.startswith(_PREFIX)}


def process_environment() -> dict[str, str]:
    """A copy of this process's environment, for a process that replaces it."""
    return dict(os.environ)


@dataclass(frozen=True)
class ClientSettings:
    """The settings of client commands from the environment."""

    target: str
    api_key: str
    ca_file: str
    state_dir: Path


def client_settings() -> ClientSettings:
    """AFTERIMAGE_TARGET, AFTERIMAGE_API_KEY (or the file that AFTERIMAGE_API_KEY_FILE names), AFTERIMAGE_CA_FILE and
    AFTERIMAGE_STATE_DIR."""
    api_key, key_file = os.environ.get("AFTERIMAGE_API_KEY", ""), os.environ.get("AFTERIMAGE_API_KEY_FILE")
    if not api_key and key_file:
        api_key = read_key_file(Path(key_file))
    state = os.environ.get("AFTERIMAGE_STATE_DIR") or os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return ClientSettings(
        os.environ.get("AFTERIMAGE_TARGET", "127.0.0.1:50051"), api_key, os.environ.get("AFTERIMAGE_CA_FILE", ""),
        Path(state).expanduser() / "afterimage",
    )  # fmt: skip


def read_key_file(path: Path) -> str:
    """An API key from a file. Raises SettingError."""
    try:
        return path.read_text().strip()
    except OSError as error:
        raise SettingError(f"API key file {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SettingError(f"API key file {path}: not a text file; it must contain only an API key") from None


def split_address(text: str, setting: str) -> tuple[str, int]:
    """HOST:PORT, or [IPv6]:PORT. Raises SettingError."""
    host, separator, port = text.rpartition(":")
    if not separator or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535 or not host:
        raise SettingError.about(setting, f"{text!r} is not HOST:PORT, such as 127.0.0.1:50051")
    return host.strip("[]"), int(port)


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


def _check(settings: Settings) -> None:
    for name, value in settings:
        if isinstance(value, str | Path) and _CONTROL.search(str(value)):
            raise SettingError.about(name, "contains a control character, such as a line end; remove it")
    if settings.data_dir.exists() and not settings.data_dir.is_dir():
        raise SettingError.about("data_dir", f"{settings.data_dir} is not a directory; set another one")
    host, _ = split_address(settings.listen, "listen")
    if settings.http:
        split_address(settings.http, "http")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise SettingError.about(("tls_cert", "tls_key"), "set both or neither")
    if settings.client_ca is not None and settings.tls_cert is None:
        raise SettingError.about("client_ca", "needs tls_cert and tls_key")
    if settings.client_crl is not None and settings.client_ca is None:
        raise SettingError.about("client_crl", "needs client_ca")
    if settings.tls_cert is None and not is_loopback(host):
        raise SettingError.about("listen", f"{host} can be reached from other machines; set tls_cert and tls_key")
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
    public = urlsplit(settings.http_public_url)
    if settings.http_public_url and not settings.http:
        raise SettingError.about("http_public_url", "needs http")
    loopback = public.scheme == "http" and is_loopback(public.hostname or "")
    if settings.http_public_url and not loopback and not (public.scheme == "https" and public.netloc):
        raise SettingError.about(
            "http_public_url", "must be https://…, as the proxy that terminates TLS serves it; links are secrets"
        )
    if settings.object_store and not re.fullmatch(r"s3://[^/\s]+(/\S*)?", settings.object_store):
        raise SettingError.about(
            "object_store", "must be s3://bucket or s3://bucket/prefix; empty: a folder of data_dir"
        )
    if settings.object_store_endpoint and urlsplit(settings.object_store_endpoint).scheme not in ("http", "https"):
        raise SettingError.about("object_store_endpoint", "must be an http:// or https:// URL")
    if bool(settings.object_store_access_key) != (settings.object_store_secret_key is not None):
        raise SettingError.about(("object_store_access_key", "object_store_secret_key"), "set both or neither")


def _read_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"config file {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SettingError(f"config file {path}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"config file {path}: {error}") from error
