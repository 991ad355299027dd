"""The address of the server, and the limits that gRPC itself applies to connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service.runtime.certificates import Certificates

_STREAMS_PER_CONNECTION = 100
_MINUTE_MS = 60 * 1000
# Bytes of a stream that a peer may send before the server reads them: a message of a call whose key is not checked yet.
UNREAD_BYTES = 4 << 20


@dataclass(frozen=True)
class Transport:
    """How the port is reached.

    - `certificates`: None: without TLS.
    - `port_is_shared`: whether other processes of this server listen on the address, too.
    - `min_ping_interval_s`: minimum interval of pings; a connection that pings more often is closed.
    """

    address: str
    certificates: Certificates | None
    max_message_bytes: int
    max_connections: int
    min_ping_interval_s: float
    reflection: bool
    port_is_shared: bool = False


def channel_options(transport: Transport) -> list[tuple[str, Any]]:
    """Returns the options of gRPC.

    They do not limit calls: gRPC would count calls whose key was not checked yet.
    """
    return [
        ("grpc.max_receive_message_length", transport.max_message_bytes),
        ("grpc.max_send_message_length", transport.max_message_bytes),
        ("grpc.max_metadata_size", 8 * 1024),
        ("grpc.max_concurrent_streams", _STREAMS_PER_CONNECTION),
        # gRPC would widen the windows of streams without a bound, by what a connection can carry.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", UNREAD_BYTES),
        ("grpc.max_connection_age_ms", 30 * _MINUTE_MS),
        ("grpc.max_connection_age_grace_ms", 5 * _MINUTE_MS),
        ("grpc.max_connection_idle_ms", 10 * _MINUTE_MS),
        ("grpc.server_handshake_timeout_ms", 20 * 1000),
        # The server's own pings find peers that are gone, or do not read at all.
        ("grpc.keepalive_time_ms", _MINUTE_MS),
        ("grpc.keepalive_timeout_ms", 20 * 1000),
        # Proxies ping every 10 to 30 seconds, whether a call is open or not; by default gRPC takes the third for abuse.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", min(int(transport.min_ping_interval_s * 1000), 2**31 - 1)),
        ("grpc.max_allowed_incoming_connections", transport.max_connections),
        ("grpc.so_reuseport", int(transport.port_is_shared)),
    ]
