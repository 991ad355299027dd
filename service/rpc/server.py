"""Puts the gRPC server together: servicers, guard, health, reflection, transport limits, TLS."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from afterimage.v1 import (
    access_service_pb2,
    access_service_pb2_grpc,
    admin_service_pb2,
    admin_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
    collection_service_pb2,
    collection_service_pb2_grpc,
    erasure_service_pb2,
    erasure_service_pb2_grpc,
    picture_service_pb2,
    picture_service_pb2_grpc,
    record_service_pb2,
    record_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
    server_info_service_pb2,
    server_info_service_pb2_grpc,
    sync_service_pb2,
    sync_service_pb2_grpc,
    training_service_pb2,
    training_service_pb2_grpc,
    worker_service_pb2,
    worker_service_pb2_grpc,
)
from service.audit.logs import AuditLogs
from service.calls.answers import LargeAnswers
from service.calls.interceptor import Guard
from service.engine.download_links import HandingOut
from service.engine.engine import Engine
from service.erasure.erasing import Erasing
from service.errors import SettingError
from service.handlers.access_requests import AccessServicer
from service.handlers.admin import AdminServicer
from service.handlers.audit import AuditServicer
from service.handlers.collections import CollectionServicer
from service.handlers.erasure import ErasureServicer
from service.handlers.pictures import PictureServicer
from service.handlers.records import RecordServicer
from service.handlers.search import SearchServicer
from service.handlers.server_info import ServerInfoServicer
from service.handlers.sync import SyncServicer
from service.handlers.training import TrainingServicer
from service.handlers.workers import WorkerServicer
from service.rpc.health import HealthServicer
from service.rpc.transport.certificates import Certificates
from service.rpc.transport.ending import remember_waiting_tasks
from service.rpc.transport.options import Transport, channel_options
from service.sync.runs.remote_workers import WorkElsewhere
from service.sync.synchronisation import Synchronisation
from service.tenancy.access import AccessRequests
from service.tenancy.read_audit import ReadAudit
from service.training.own_training import OwnTraining

SERVICE_NAMES: tuple[str, ...] = tuple(
    service.full_name
    for module in (
        collection_service_pb2,
        record_service_pb2,
        search_service_pb2,
        server_info_service_pb2,
        admin_service_pb2,
        sync_service_pb2,
        worker_service_pb2,
        audit_service_pb2,
        access_service_pb2,
        erasure_service_pb2,
        picture_service_pb2,
        training_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
)
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


@dataclass(frozen=True)
class Served:
    """What the calls are answered with."""

    engine: Engine
    sync: Synchronisation
    elsewhere: WorkElsewhere
    audit: AuditLogs
    read_audit: ReadAudit
    access: AccessRequests
    erasing: Erasing
    handing_out: HandingOut
    training: OwnTraining


class RpcServer:
    """A grpc.aio server with truthful health: not serving until told so."""

    def __init__(self, transport: Transport, served: Served, guard: Guard, version: str) -> None:
        engine, metrics = served.engine, served.engine.metrics
        answers = LargeAnswers(transport.max_message_bytes)
        self._server = grpc.aio.server(
            interceptors=[guard],
            options=channel_options(transport),
        )
        self._health = HealthServicer(SERVICE_NAMES)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        collection_service_pb2_grpc.add_CollectionServiceServicer_to_server(CollectionServicer(engine), self._server)
        record_service_pb2_grpc.add_RecordServiceServicer_to_server(
            RecordServicer(engine, metrics, answers), self._server
        )
        search_service_pb2_grpc.add_SearchServiceServicer_to_server(
            SearchServicer(engine, metrics, answers), self._server
        )
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(AdminServicer(engine, served.sync), self._server)
        sync_service_pb2_grpc.add_SyncServiceServicer_to_server(SyncServicer(served.sync), self._server)
        audit = AuditServicer(served.audit, served.read_audit, engine.workers)
        audit_service_pb2_grpc.add_AuditServiceServicer_to_server(audit, self._server)
        access = AccessServicer(served.access, engine.workers)
        access_service_pb2_grpc.add_AccessServiceServicer_to_server(access, self._server)
        erasure_service_pb2_grpc.add_ErasureServiceServicer_to_server(ErasureServicer(served.erasing), self._server)
        pictures = PictureServicer(engine, served.erasing, served.handing_out)
        picture_service_pb2_grpc.add_PictureServiceServicer_to_server(pictures, self._server)
        training = TrainingServicer(served.training, served.erasing, served.handing_out)
        training_service_pb2_grpc.add_TrainingServiceServicer_to_server(training, self._server)
        workers = WorkerServicer(served.elsewhere, version)
        worker_service_pb2_grpc.add_WorkerServiceServicer_to_server(workers, self._server)
        info = ServerInfoServicer(engine, version, transport.max_message_bytes)
        server_info_service_pb2_grpc.add_ServerInfoServiceServicer_to_server(info, self._server)
        if transport.reflection:
            reflection.enable_server_reflection((*SERVICE_NAMES, _HEALTH, reflection.SERVICE_NAME), self._server)
        self._certificates = guard.certificates = Certificates(transport.tls) if transport.tls else None
        self.port = self._bind(transport.address)

    async def start(self) -> None:
        """Begins to accept connections; health says NOT_SERVING."""
        remember_waiting_tasks(asyncio.get_running_loop())
        await self._server.start()

    def set_serving(self, serving: bool) -> None:
        """What health answers, for the server and for each service."""
        self._health.set_serving(serving)

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls, and lets running ones finish for so long."""
        await self._server.stop(grace_s)

    def read_certificates_again(self) -> None:
        """Reads the TLS files again where they changed, as every new connection does."""
        if self._certificates is not None:
            self._certificates.read_again()

    def _bind(self, address: str) -> int:
        try:
            if self._certificates is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, self._certificates.credentials())
        except RuntimeError as error:
            raise SettingError.about("listen", f"{address} cannot be bound: {error}") from None
