"""WorkerService: the server's side of `afterimage worker`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from afterimage.v1 import worker_service_pb2 as pb
from service.coordination.run_board import RunRef
from service.engine.picture_encoding import EncodeResult
from service.errors import Reason, ServiceError
from service.handlers.conversion.values import from_vector, invalid, to_vector
from service.intake.download.fetch import Validators
from service.intake.notes import Note
from service.runtime.background import end_task
from service.sync.runs.remote_workers import Introduction, PictureRequest, RemoteWorker, RemoteWorkers, RunClaim
from service.tenancy.keyring import Principal


class WorkerHandlers:
    """Documented in worker_service.proto."""

    def __init__(self, remote_workers: RemoteWorkers, version: str) -> None:
        self._remote_workers, self._version = remote_workers, version

    async def GetQueue(self, request: pb.GetQueueRequest, caller: Principal) -> pb.GetQueueResponse:
        """Returns the name of the queue of runs."""
        return pb.GetQueueResponse(server=self._remote_workers.server, version=self._version)

    async def WorkOnRun(
        self, requests: AsyncIterator[pb.WorkOnRunRequest], caller: Principal
    ) -> AsyncIterator[pb.WorkOnRunResponse]:
        """Exchanges pictures and results of one run, until one side ends it."""
        first = await anext(requests, pb.WorkOnRunRequest())
        if not first.HasField("taken"):
            raise invalid("taken", "the first message must contain the taken run")
        worker, work = self._remote_workers.begin(_to_claim(first.taken))
        receiving = asyncio.create_task(_receive(requests, worker, work))
        try:
            while (message := await worker.outgoing.get()) is not None:
                yield _to_response(message)
        finally:
            await end_task(receiving)
            await end_task(work)


async def _receive(
    requests: AsyncIterator[pb.WorkOnRunRequest], worker: RemoteWorker, work: asyncio.Task[None]
) -> None:
    """Receives the messages of the worker. Releases the run when they end."""
    try:
        async for request in requests:
            kind = request.WhichOneof("message")
            if kind == "seen":
                worker.heard(request.seen.number, _to_result(request.seen))
            elif kind == "failed":
                worker.heard(request.failed.number, _to_error(request.failed))
            else:
                worker.heard()
    finally:
        work.cancel()


def _to_claim(message: pb.TakenRun) -> RunClaim:
    ref = RunRef(message.tenant_uid, message.collection, message.run_id)
    return RunClaim(message.worker, ref, message.epoch, frozenset(message.encoder_fingerprints))


def _to_result(message: pb.PictureSeen) -> EncodeResult | ServiceError:
    try:
        vector = to_vector("vector", message.vector) if message.vector else None
    except ServiceError as error:
        return error
    return EncodeResult(
        message.digest or None,
        vector,
        Validators(message.etag, message.last_modified),
        message.picture or None,
        tuple(Note[name] for name in message.notes if name in Note.__members__),
    )


def _to_error(message: pb.PictureFailed) -> ServiceError:
    reason = Reason[message.reason] if message.reason in Reason.__members__ else Reason.INTERNAL
    return ServiceError(reason, message.message, retry_delay_s=message.retry_delay_s or None)


def _to_response(message: Introduction | PictureRequest) -> pb.WorkOnRunResponse:
    if isinstance(message, Introduction):
        context, hosts = message.context, message.hosts
        return pb.WorkOnRunResponse(
            collection=pb.CollectionToServe(
                encoder_id=context.encoder.id, encoder_fingerprint=context.encoder.fingerprint,
                digest_key=context.digests.key, allowed_hosts=hosts or (), any_host=hosts is None,
                copies=context.copies,
            )
        )  # fmt: skip
    request = message.request
    return pb.WorkOnRunResponse(
        picture=pb.PictureToSee(
            number=message.number, url=request.picture.url, stored_digest=request.stored or b"",
            etag=request.validators.etag, last_modified=request.validators.last_modified,
            partial=request.picture.partial,
        )
    )  # fmt: skip


def seen_of(number: int, result: EncodeResult) -> pb.WorkOnRunRequest:
    """Returns the message of a worker with the result for a picture."""
    validators = result.validators or Validators()
    return pb.WorkOnRunRequest(
        seen=pb.PictureSeen(
            number=number, digest=result.digest or b"", etag=validators.etag, last_modified=validators.last_modified,
            vector=b"" if result.vector is None else from_vector(result.vector), picture=result.image or b"",
            notes=[note.name for note in result.notes],
        )
    )  # fmt: skip


def failed_of(number: int, error: ServiceError) -> pb.WorkOnRunRequest:
    """Returns the message of a worker with the error for a picture."""
    return pb.WorkOnRunRequest(
        failed=pb.PictureFailed(
            number=number, reason=error.reason.name, message=error.message, retry_delay_s=error.retry_delay_s or 0.0
        )
    )
