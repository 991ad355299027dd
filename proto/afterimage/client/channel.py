"""Connection to a server: address, TLS, message sizes, key."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import grpc

from afterimage.client.errors import invalid
from afterimage.v1 import (
    access_service_pb2_grpc,
    admin_service_pb2_grpc,
    audit_service_pb2_grpc,
    collection_service_pb2_grpc,
    erasure_service_pb2_grpc,
    picture_service_pb2_grpc,
    record_service_pb2_grpc,
    saved_search_service_pb2_grpc,
    search_service_pb2_grpc,
    server_info_service_pb2_grpc,
    sync_service_pb2_grpc,
    training_service_pb2_grpc,
)

MAX_MESSAGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Endpoint:
    """Address and credentials of a server. TLS files are PEM; `ca` enables TLS."""

    target: str
    api_key: str = field(repr=False)
    ca: bytes | None = None
    client_cert: bytes | None = None
    client_key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises InvalidArgument if the values cannot be used for a connection."""
        object.__setattr__(self, "api_key", self.api_key.strip())
        if not re.fullmatch(r"[!-~]*", self.api_key):
            raise invalid("api_key", "the API key contains a space or an invalid character")
        _check_target(self.target)
        for name in ("ca", "client_cert"):
            content = getattr(self, name)
            if content is not None and b"-----BEGIN CERTIFICATE-----" not in content:
                raise invalid(name, f"{name} contains no PEM certificate")

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata of every call."""
        return (("authorization", f"Bearer {self.api_key}"),) if self.api_key else ()

    @property
    def credentials(self) -> grpc.ChannelCredentials | None:
        """TLS credentials, or None for an unencrypted connection."""
        if self.ca is None:
            return None
        return grpc.ssl_channel_credentials(self.ca, self.client_key, self.client_cert)


def _check_target(target: str) -> None:
    if re.match(r"(dns|unix|unix-abstract|ipv4|ipv6|vsock|xds):", target):
        return  # gRPC's own names of places
    scheme, _, rest = target.rpartition("://")
    if scheme:
        place = rest.partition("/")[0] or "127.0.0.1:50051"
        tls = ", and the server's CA for TLS" if scheme == "https" else ""
        message = f"the target {target!r} is a URL; use HOST:PORT without {scheme}://, such as {place}{tls}"
        raise invalid("target", message)
    host, colon, port = target.rpartition(":")
    if not colon or not host or not re.fullmatch(r"[0-9]{1,5}", port) or re.search(r"[\s/]", target):
        shown = target if re.fullmatch(r"[\w.-]+", target) else "127.0.0.1"
        raise invalid("target", f"the target {target!r} is not HOST:PORT, such as {shown}:50051")


OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.enable_retries", 0),  # the client's own policy decides
]


def make_stubs(channel: Any) -> dict[str, Any]:
    """Returns a stub for each service of the API, by the service's name."""
    return {
        "CollectionService": collection_service_pb2_grpc.CollectionServiceStub(channel),
        "RecordService": record_service_pb2_grpc.RecordServiceStub(channel),
        "SearchService": search_service_pb2_grpc.SearchServiceStub(channel),
        "SavedSearchService": saved_search_service_pb2_grpc.SavedSearchServiceStub(channel),
        "AdminService": admin_service_pb2_grpc.AdminServiceStub(channel),
        "AccessService": access_service_pb2_grpc.AccessServiceStub(channel),
        "ErasureService": erasure_service_pb2_grpc.ErasureServiceStub(channel),
        "PictureService": picture_service_pb2_grpc.PictureServiceStub(channel),
        "TrainingService": training_service_pb2_grpc.TrainingServiceStub(channel),
        "AuditService": audit_service_pb2_grpc.AuditServiceStub(channel),
        "SyncService": sync_service_pb2_grpc.SyncServiceStub(channel),
        "ServerInfoService": server_info_service_pb2_grpc.ServerInfoServiceStub(channel),
    }


def async_channel(endpoint: Endpoint) -> grpc.aio.Channel:
    """Returns a channel for the running event loop."""
    if endpoint.credentials is None:
        return grpc.aio.insecure_channel(endpoint.target, OPTIONS)
    return grpc.aio.secure_channel(endpoint.target, endpoint.credentials, OPTIONS)


def sync_channel(endpoint: Endpoint) -> grpc.Channel:
    """Returns a channel for any thread."""
    if endpoint.credentials is None:
        return grpc.insecure_channel(endpoint.target, OPTIONS)
    return grpc.secure_channel(endpoint.target, endpoint.credentials, OPTIONS)


async def async_close(channel: grpc.aio.Channel) -> None:
    """Closes the connection and ends running calls."""
    await channel.close(None)


def sync_close(channel: grpc.Channel) -> None:
    """Closes the connection and ends running calls."""
    channel.close()
