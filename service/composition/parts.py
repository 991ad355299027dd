"""Single parts of a server, a worker or a command, each made of the settings alone."""

from __future__ import annotations

import ipaddress

from afterimage import __version__
from index import DataDirectory, Location, ScanStrategy, SharedRecordStores, postgres_stores
from service.calls.limits.call_limiter import CallLimits
from service.calls.limits.keyless import KeylessCalls
from service.calls.methods import METHODS
from service.config import process_environment
from service.detector.registry import DetectorRegistry
from service.encoder.admission import AdmissionLimits
from service.encoder.decode_pool.pool import Decoders, DecodingLimits
from service.encoder.execution import Hardware
from service.encoder.registry import EncoderRegistry
from service.errors import SettingError
from service.intake.download.fetch import Counted, Fetcher
from service.intake.download.host_limits import HostLimits
from service.intake.download.limits import FetchLimits
from service.intake.formats import OPTIONAL, Format, missing_package
from service.intake.limits import PictureLimits
from service.metrics import Metrics
from service.objects.store import Bucket, ObjectStore
from service.processes.role import Role
from service.rpc.transport.options import Transport
from service.runtime.certificates import Certificates, TlsFiles
from service.runtime.process import decoder_environment
from service.settings.addresses import split_address, traces_url
from service.settings.model import Settings
from service.sync.feeds.inflate import MAX_FEED_BYTES
from service.sync.model import RunState
from service.tracing.allowed import AllowList
from service.tracing.spans import NO_TRACER, Tracer
from service.web.api.callers import Entry, allowed_hosts
from service.web.connections import ConnectionLimits


def encoders_of(settings: Settings) -> EncoderRegistry:
    """The encoders that the settings name. Raises SettingError."""
    return EncoderRegistry(settings.encoders_dir, settings.default_encoder, _hardware_of(settings))


def detectors_of(settings: Settings) -> DetectorRegistry:
    """The detectors that the settings name. Raises SettingError."""
    return DetectorRegistry(settings.detectors_dir, settings.detector, _hardware_of(settings))


def _hardware_of(settings: Settings) -> Hardware:
    return Hardware(settings.cores, settings.model_provider, settings.model_threads, settings.max_batch_size)


def limits_of(settings: Settings) -> PictureLimits:
    """The limits on one picture. Raises SettingError for a format that is not known, or whose package is missing."""
    formats, known = tuple(dict.fromkeys(settings.image_formats)), [kind.value for kind in OPTIONAL]
    for name in formats:
        if name not in known:
            raise SettingError.about("image_formats", f"{name!r} is not one of {', '.join(known)}")
        package = missing_package(Format(name))
        if package:
            raise SettingError.about(
                "image_formats", f"{name} needs the package {package}: pip install 'afterimage-server[{name}]'"
            )
    return PictureLimits(
        settings.max_image_bytes, settings.max_image_pixels, settings.max_image_side, settings.max_image_ratio, formats
    )


def decoders_of(settings: Settings) -> Decoders:
    """The sandboxed decoders, not yet started."""
    processes = settings.decode_processes or settings.cores
    environment = decoder_environment(process_environment())
    return Decoders(DecodingLimits(processes, settings.decode_timeout_s, environment), limits_of(settings))


def admission_of(settings: Settings) -> AdmissionLimits:
    """How many pictures may be inside at a time."""
    return AdmissionLimits(
        settings.max_queue_size, settings.max_queue_bytes, settings.max_search_wait_s,
        places=(settings.decode_processes or settings.cores) + 4 * settings.cores,
    )  # fmt: skip


def fetch_counter(metrics: Metrics) -> Counted:
    """What counts downloads."""

    def count(kind: str, reason: str, seconds: float) -> None:
        metrics.fetches.labels(kind, reason).inc()
        metrics.fetch_seconds.labels(kind).observe(seconds)

    return count


def picture_fetcher(settings: Settings, counted: Counted) -> Fetcher | None:
    """What fetches pictures by URL; None where the settings say that none are fetched."""
    if not settings.fetch_urls:
        return None
    exempt = tuple(ipaddress.ip_network(n) for n in settings.fetch_networks)
    limits = FetchLimits(
        max_bytes=settings.max_image_bytes, total_s=settings.fetch_timeout_s, http=settings.fetch_http, exempt=exempt
    )
    return Fetcher(limits, HostLimits(settings.fetch_per_host, settings.fetch_rate_per_host), counted=counted)


def feed_fetcher(settings: Settings, counted: Counted) -> Fetcher | None:
    if not settings.fetch_urls:
        return None
    exempt = tuple(ipaddress.ip_network(n) for n in settings.fetch_networks)
    limits = FetchLimits(
        max_bytes=MAX_FEED_BYTES, total_s=settings.feed_timeout_s, silence_s=30.0, http=settings.fetch_http,
        exempt=exempt, what="feed", accept="*/*",
    )  # fmt: skip
    return Fetcher(limits, HostLimits(settings.fetch_per_host, settings.fetch_rate_per_host), counted=counted)


def record_stores_of(settings: Settings) -> SharedRecordStores[Location] | None:
    """Where the records of all collections are kept; None: in the data directory. Connects to nothing yet."""
    return None if settings.store_url is None else postgres_stores(settings.store_url.get_secret_value())


def object_store_of(settings: Settings) -> ObjectStore:
    """Where sealed objects lie. Raises SettingError."""
    secret, bucket = settings.object_store_secret_key, None
    if settings.object_store:
        bucket = Bucket(
            settings.object_store, settings.object_store_endpoint, settings.object_store_region,
            settings.object_store_access_key, secret.get_secret_value() if secret else "",
        )  # fmt: skip
    return ObjectStore(DataDirectory(settings.data_dir).objects, bucket)


def call_limits_of(settings: Settings) -> CallLimits:
    """How much of the server the calls may hold."""
    return CallLimits(
        settings.max_concurrent_calls, settings.max_streams, settings.in_flight_bytes, settings.max_message_bytes,
        settings.message_timeout_s, settings.stream_idle_timeout_s, settings.send_timeout_s,
    )  # fmt: skip


def certificates_of(settings: Settings) -> Certificates | None:
    """The certificates of the server's ports; None without TLS. Raises SettingError if a file is not usable."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificates(TlsFiles(settings.tls_cert, settings.tls_key, settings.client_ca, settings.client_crl))


def entry_of(settings: Settings, certificates: Certificates | None) -> Entry:
    """How the HTTP port can be reached. `certificates`: None: it speaks plain HTTP."""
    host, _ = split_address(settings.http, "http") if settings.http else ("", 0)
    hosts = allowed_hosts((*settings.http_hosts, host), settings.http_public_url)
    return Entry(settings.http_proxies, hosts, certificates)


def connection_limits_of(settings: Settings, keyless: KeylessCalls) -> ConnectionLimits:
    """Limits on the connections of the HTTP port."""
    return ConnectionLimits(
        settings.connections, min(settings.max_http_connections_per_address, settings.connections),
        settings.http_proxies, settings.http_head_timeout_s, keyless.knows, keyless.admit_connection,
        keyless.admit_block,
    )  # fmt: skip


def tracer_of(settings: Settings, metrics: Metrics, encoders: EncoderRegistry) -> Tracer:
    """What traces calls and runs. Raises SettingError if the package that sends spans is missing."""
    if not settings.trace_endpoint:
        return NO_TRACER
    try:
        from service.tracing.export import Export, open_tracer  # only now: its packages are an extra
    except ModuleNotFoundError as error:
        message = f"needs the package {error.name}: pip install 'afterimage-server[tracing]'"
        raise SettingError.about("trace_endpoint", message) from None

    def count(spans: int, sent: bool) -> None:
        metrics.spans.labels("sent" if sent else "dropped").inc(spans)

    allowed = AllowList(METHODS, map(str, ScanStrategy), map(str, RunState), encoders.fingerprints)
    export = Export(traces_url(settings.trace_endpoint), settings.trace_share, __version__, count)
    return open_tracer(export, allowed)


def transport_of(settings: Settings, certificates: Certificates | None, role: Role | None = None) -> Transport:
    """What gRPC listens on, and its limits. `role`: of this process, if the server has several."""
    return Transport(
        settings.listen, certificates, settings.max_message_bytes, settings.connections,
        settings.min_ping_interval_s, settings.reflection, role is not None,
    )  # fmt: skip
