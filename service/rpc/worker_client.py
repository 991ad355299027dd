"""The worker's side of WorkerService: encodes pictures for the runs of a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc

from afterimage.v1 import worker_service_pb2 as pb
from afterimage.v1 import worker_service_pb2_grpc as pb_grpc
from index import PictureDigests
from service.encoder.registry import EncoderRegistry
from service.engine.faults import as_service_error
from service.engine.picture_encoding import EncodeContext, EncodeRequest, PictureEncoder
from service.engine.pictures import PictureSource
from service.errors import Reason, ServiceError, SettingError, release_frames
from service.handlers.workers import failed_of, seen_of
from service.intake.download.fetch import Validators
from service.runtime.background import end_task
from service.runtime.call_facts import about
from service.sync.runs.remote_workers import RunClaim
from service.tracing.spans import TRACEPARENT, traceparent

_ALIVE_EVERY_S = 5.0
_ANSWER_WITHIN_S = 5.0


@dataclass(frozen=True)
class ServerAddress:
    """Address and credentials of a server.

    - `secret`: its worker_secret.
    - `ca`: PEM; set if the server uses TLS.
    - `client_cert`, `client_key`: PEM; set if it requires a client certificate.
    """

    target: str
    secret: str = field(repr=False)
    ca: bytes | None = None
    client_cert: bytes | None = None
    client_key: bytes | None = field(default=None, repr=False)


class AllowedHosts:
    """The hosts that pictures of each tenant may be fetched from, as the server reported them."""

    def __init__(self) -> None:
        self._hosts: dict[str, frozenset[str] | None] = {}

    def of(self, tenant_uid: str) -> frozenset[str] | None:
        """Returns the hosts of a tenant; None: any public host. Empty for a tenant that no server has reported."""
        return self._hosts.get(tenant_uid, frozenset())

    def set(self, tenant_uid: str, hosts: frozenset[str] | None) -> None:
        """Sets the hosts of a tenant."""
        self._hosts[tenant_uid] = hosts


@dataclass(frozen=True)
class WorkerParts:
    """The parts with which a worker encodes pictures."""

    picture_encoder: PictureEncoder
    encoders: EncoderRegistry
    hosts: AllowedHosts


class RunServer:
    """Works on the runs of one server. For one event loop."""

    def __init__(self, server: ServerAddress) -> None:
        self._server = server
        if server.ca is None:
            self._channel = grpc.aio.insecure_channel(server.target)
        else:
            credentials = grpc.ssl_channel_credentials(server.ca, server.client_key, server.client_cert)
            self._channel = grpc.aio.secure_channel(server.target, credentials)
        self._stub: Any = pb_grpc.WorkerServiceStub(self._channel)
        self._metadata = (("authorization", f"Worker {server.secret}"),)

    async def queue(self) -> str:
        """Returns the name of the server's queue. Raises SettingError if the server rejects this worker, and
        ServiceError (SHUTTING_DOWN) if it is not available."""
        try:
            answer = await self._stub.GetQueue(
                pb.GetQueueRequest(), metadata=self._metadata, timeout=_ANSWER_WITHIN_S, wait_for_ready=True
            )
        except grpc.aio.AioRpcError as error:
            message = f"{self._server.target}: {error.details()}"
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise ServiceError(Reason.SHUTTING_DOWN, message, retry_delay_s=1.0) from None
            raise SettingError.about("server", message) from None
        return str(answer.server)

    async def work_on(self, taken: RunClaim, parts: WorkerParts) -> None:
        """Encodes the pictures of a run until it is over. Raises ServiceError (SHUTTING_DOWN) if the server is not
        available."""
        carried = traceparent()
        call = self._stub.WorkOnRun(metadata=(*self._metadata, *(((TRACEPARENT, carried),) if carried else ())))
        session = _Session(call, taken, parts)
        try:
            await session.go()
        except grpc.aio.AioRpcError as error:
            raise ServiceError(Reason.SHUTTING_DOWN, f"{self._server.target}: {error.details()}") from None
        finally:
            await session.end()
            call.cancel()

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close(None)


class _Session:
    def __init__(self, call: Any, taken: RunClaim, parts: WorkerParts) -> None:
        self._call, self._taken, self._parts = call, taken, parts
        self._outgoing: asyncio.Queue[pb.WorkOnRunRequest] = asyncio.Queue()
        self._context: EncodeContext | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing: asyncio.Task[None] | None = None

    async def go(self) -> None:
        taken = self._taken
        first = pb.TakenRun(
            worker=taken.worker, tenant_uid=taken.ref.tenant_uid, collection=taken.ref.collection_id,
            run_id=taken.ref.run_id, epoch=taken.epoch, encoder_fingerprints=sorted(taken.encoders),
        )  # fmt: skip
        await self._call.write(pb.WorkOnRunRequest(taken=first))
        self._writing = asyncio.create_task(self._write())
        responses: AsyncIterator[pb.WorkOnRunResponse] = self._call
        async for response in responses:
            if response.HasField("collection"):
                self._context = self._introduced(response.collection)
            elif response.HasField("picture"):
                task = asyncio.create_task(self._encode(response.picture))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        for task in (*self._tasks, *((self._writing,) if self._writing else ())):
            await end_task(task)

    async def _write(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_ALIVE_EVERY_S):
                    message = await self._outgoing.get()
            except TimeoutError:
                message = pb.WorkOnRunRequest(alive=pb.Alive())
            await self._call.write(message)

    def _introduced(self, message: pb.CollectionToServe) -> EncodeContext:
        tenant = self._taken.ref.tenant_uid
        self._parts.hosts.set(tenant, None if message.any_host else frozenset(message.allowed_hosts))
        encoder = self._parts.encoders.pinned(message.encoder_id, message.encoder_fingerprint)
        if encoder is None:  # the server was told which ones are here
            raise ServiceError(Reason.ENCODER_MISSING, f"no encoder {message.encoder_id!r} here")
        return EncodeContext(
            tenant, encoder, PictureDigests(message.digest_key, message.encoder_fingerprint), message.copies
        )

    async def _encode(self, message: pb.PictureToSee) -> None:
        assert self._context is not None
        validators = Validators(message.etag, message.last_modified)
        picture = PictureSource(url=message.url, partial=message.partial)
        request = EncodeRequest(picture, message.stored_digest or None, validators)
        try:
            answer = seen_of(message.number, await self._parts.picture_encoder.encode(self._context, request))
        except Exception as error:
            with about(run_id=self._taken.ref.run_id):
                answer = failed_of(message.number, as_service_error(error))
            release_frames(error)
        self._outgoing.put_nowait(answer)
