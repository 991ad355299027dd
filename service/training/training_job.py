"""One training: encodes the examples, fits and evaluates a projection, and publishes the model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import structlog

from service.audit.logs import AuditLogs
from service.encoder.calibration import score_of
from service.encoder.fair_queue import Lane
from service.encoder.kinds import load_kind
from service.encoder.manifest import Manifest
from service.engine.engine import Engine
from service.engine.faults import as_service_error
from service.engine.pictures import PictureSource, Purpose
from service.errors import Reason, ServiceError
from service.objects.sealed import new_object_id
from service.runtime.clock import Stopwatch, now_ms
from service.runtime.concurrency import gather_bounded
from service.runtime.retry import RetryPolicy
from service.training.evaluation import TooFewExamples
from service.training.fit_process import fit_apart
from service.training.fitting import Fitted
from service.training.fusing import FusingFailed, check_fused, fuse, fused_manifest
from service.training.model import Example, OwnModel, State, Training
from service.training.own import OwnModels
from service.training.store import MODELS_HOME, TrainingStore
from service.training.stores import TrainingStores

_LOG = structlog.get_logger(__name__)
Note = Callable[[TrainingStore, Training], Awaitable[None]]
_AT_ONCE, _BLOCK = 16, 512
_NOTE_EVERY_S = 1.0
_RETRIES = RetryPolicy({Reason.OVERLOADED}, first_s=0.5, longest_s=10.0)  # a training waits as long as it takes
MAX_EXAMPLES = 50_000


@dataclass(frozen=True)
class TrainerParts:
    """The dependencies of trainings.

    - `environment`: of the fitting process.
    - `owner`: the name of this process in open acts of the audit log.
    """

    stores: TrainingStores
    engine: Engine
    own: OwnModels
    audit: AuditLogs
    environment: Mapping[str, str]
    owner: str


class TrainingJob:
    """One training."""

    def __init__(
        self, parts: TrainerParts, tenant_uid: str, store: TrainingStore, training: Training, note: Note
    ) -> None:
        self._parts, self._uid, self._store, self._training = parts, tenant_uid, store, training
        self._workers = parts.engine.workers
        self._note, self._since_note = note, Stopwatch()

    async def make(self) -> None:
        """Encodes, fits, evaluates, and publishes the model or stores the reason why not."""
        try:
            await self._make()
        except TooFewExamples as error:
            await self._end(State.REFUSED, str(error))
        except (ServiceError, FusingFailed, RuntimeError, OSError) as error:
            _LOG.warning("a training failed", training_id=self._training.training_id, exc_info=error)
            await self._end(
                State.FAILED, as_service_error(error).message if isinstance(error, ServiceError) else str(error)
            )

    async def _make(self) -> None:
        engine, request = self._parts.engine, self._training.request
        base = engine.encoders.manifest(request.base_encoder)
        found = await self._encoded(base)
        examples = await engine.workers.upkeep(_labelled, found)
        fitted = await fit_apart(*examples, self._parts.environment)
        card = _card(base, fitted, len(found), len({label for _, label in found}))
        if not fitted.judgement.publishable:
            before, after = fitted.judgement.before["mAP@10"], fitted.judgement.after["mAP@10"]
            message = (
                f"not significantly better than {base.id}: mAP@10 {after:.3f} instead of {before:.3f} on "
                "held-out examples"
            )
            await self._end(State.REFUSED, message, card)
            return
        manifest, fused = await engine.workers.upkeep(self._fused, base, fitted)
        await self._publish(manifest, fused, card)

    async def _encoded(self, base: Manifest) -> list[tuple[np.ndarray, str]]:
        """The vector and the label of each example with a picture. Raises TooFewExamples if there is none."""
        workers = self._parts.engine.workers
        set_uid = await workers.read(self._store.uid_of, self._training.request.training_set)
        if set_uid is None:
            raise ServiceError(Reason.TRAINING_SET_NOT_FOUND, "the training set was deleted")
        examples = await workers.read(self._store.examples, set_uid, "", MAX_EXAMPLES)
        self._training = replace(self._training, state=State.RUNNING, done=0, total=len(examples))
        await self._note(self._store, self._training)
        made: list[np.ndarray | None] = []
        for start in range(0, len(examples), _BLOCK):
            block = examples[start : start + _BLOCK]
            made += await gather_bounded((self._vector(set_uid, e, base) for e in block), _AT_ONCE)
        await self._note(self._store, self._training)
        usable = [(v, e.label) for v, e in zip(made, examples, strict=True) if v is not None]
        if not usable:
            raise TooFewExamples("the training set has no usable picture")
        return usable

    async def _vector(self, set_uid: str, example: Example, base: Manifest) -> np.ndarray | None:
        """The vector of an example; None if its picture was deleted."""
        engine = self._parts.engine
        failures = 0
        while True:
            try:
                picture = await engine.workers.objects(engine.objects.get, self._uid, set_uid, example.object_id)
                source, purpose = PictureSource(picture), Purpose(self._uid, Lane.INSERT)
                vector = (await engine.pictures.encode(source, base, purpose)).vector
            except ServiceError as error:
                if error.reason is Reason.PICTURE_NOT_FOUND:
                    return None
                failures += 1
                pause_s = _RETRIES.pause_s(error, failures)
                if pause_s is None:
                    raise
                await asyncio.sleep(pause_s)
                continue
            await self._progress()
            return vector

    async def _progress(self) -> None:
        self._training = replace(self._training, done=self._training.done + 1)
        if self._since_note.seconds() > _NOTE_EVERY_S:
            self._since_note.restart()
            await self._note(self._store, self._training)

    def _fused(self, base: Manifest, fitted: Fitted) -> tuple[Manifest, bytes]:
        engine, request = self._parts.engine, self._training.request
        fused = fuse(engine.encoders.content(base), base, fitted.projection)
        judgement = fitted.judgement
        description = (
            f"{base.id} with a projection fitted to training set {request.training_set}; mAP@10 "
            f"{judgement.before['mAP@10']:.3f} -> {judgement.after['mAP@10']:.3f} on {judgement.queries} held out"
        )
        manifest = fused_manifest(base, fused, request.model_name, self._uid, score_of(fitted.strangers), description)
        session = load_kind(fused, manifest, 1)
        check_fused(engine.encoders.session(base), session, fitted.projection)
        return manifest, fused

    async def _publish(self, manifest: Manifest, fused: bytes, card: dict[str, object]) -> None:
        engine, request, object_id = self._parts.engine, self._training.request, new_object_id()
        await engine.workers.write(self._store.announce, MODELS_HOME, object_id)
        await engine.workers.objects(engine.objects.put, self._uid, MODELS_HOME, object_id, fused)
        model = OwnModel(
            manifest.id,
            request.base_encoder,
            request.training_set,
            manifest.model_dump_json(),
            card,
            object_id,
            now_ms(),
        )
        ended = ended_training(replace(self._training, card=card), State.PUBLISHED, manifest.id)
        published = asyncio.create_task(self._publish_and_audit(model, ended))
        if await asyncio.shield(published):
            await self._note(self._store, ended)
        else:
            await self._end(State.FAILED, "the training set was deleted in the meantime")

    async def _publish_and_audit(self, model: OwnModel, ended: Training) -> bool:
        """Publishes the model with its entry in the audit log.

        An interruption in between cannot leave one without the other.
        """
        write, details = self._workers.write, {"model": model.encoder_id, "training": ended.training_id}
        log = await write(self._parts.audit.of, self._uid)
        act = await write(log.begin, "trainer", "model.publish", details, self._parts.owner)
        published = await write(self._store.publish, model, ended)
        if published:
            await write(self._parts.own.adopt, self._uid, model)
        await write(log.end, act, details if published else {}, "done" if published else "nothing")
        return published

    async def _end(self, state: State, message: str, card: dict[str, object] | None = None) -> None:
        await self._note(self._store, ended_training(replace(self._training, card=card or {}), state, message))


def _labelled(examples: list[tuple[np.ndarray, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, shape (examples, dimension), and the numbers of their labels, int64. Thousands take many milliseconds:
    for threads."""
    _, numbers = np.unique(np.array([label for _, label in examples]), return_inverse=True)
    return np.stack([vector for vector, _ in examples]), numbers.astype(np.int64)


def ended_training(training: Training, state: State, message: str) -> Training:
    return replace(training, state=state, message=message, ended_ms=now_ms())


def _card(base: Manifest, fitted: Fitted, examples: int, labels: int) -> dict[str, object]:
    judgement = fitted.judgement
    return {
        "base_encoder": base.id, "base_fingerprint": base.fingerprint, "examples": examples, "labels": labels,
        "shape": asdict(fitted.shape), "held_out_queries": judgement.queries, "before": judgement.before,
        "after": judgement.after, "gain_at_least": judgement.gain_low,
    }  # fmt: skip
