"""TrainingService."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

from afterimage.v1 import training_service_pb2 as pb
from service.audit.chain import Details
from service.audit.tally import current_tallies
from service.calls.error_details import to_record_error
from service.encoder.manifest import OWN_PREFIX, Manifest
from service.engine.download_links import DownloadLinks
from service.engine.faults import translated_errors
from service.engine.pictures import PictureSource
from service.erasure.erasing import Erasing
from service.handlers.conversion.values import check_count, invalid, page_size, timestamp
from service.handlers.erasure import from_receipt
from service.handlers.request_limits import DEFAULT_LINK_MINUTES, MAX_BATCH_EXAMPLES, MAX_IDS
from service.tenancy.keyring import Principal
from service.training.model import OwnModel, Training, TrainingRequest, TrainingSet
from service.training.own_training import OwnTraining
from service.training.sets import ExampleResult, NewExample

_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,50}")
_LOOK_AGAIN_S = 5.0


class TrainingHandlers:
    """Documented in training_service.proto."""

    def __init__(self, training: OwnTraining, erasing: Erasing, download_links: DownloadLinks) -> None:
        self._training, self._erasing, self._download_links = training, erasing, download_links

    async def CreateTrainingSet(
        self, request: pb.CreateTrainingSetRequest, caller: Principal
    ) -> pb.CreateTrainingSetResponse:
        """Creates an empty training set."""
        made = await self._training.sets.create(caller, request.name, request.description)
        return pb.CreateTrainingSetResponse(training_set=_to_set(made))

    async def ListTrainingSets(
        self, request: pb.ListTrainingSetsRequest, caller: Principal
    ) -> pb.ListTrainingSetsResponse:
        """Returns all training sets."""
        found = await self._training.sets.all(caller)
        return pb.ListTrainingSetsResponse(training_sets=[_to_set(s) for s in found])

    async def GetTrainingSet(self, request: pb.GetTrainingSetRequest, caller: Principal) -> pb.GetTrainingSetResponse:
        """Returns a training set with its labels."""
        found, labels = await self._training.sets.get(caller, request.name)
        return pb.GetTrainingSetResponse(training_set=_to_set(found), labels=labels)

    async def DeleteTrainingSet(
        self, request: pb.DeleteTrainingSetRequest, caller: Principal
    ) -> pb.DeleteTrainingSetResponse:
        """Deletes a training set. Without `force` it only reports what it would delete."""
        if not request.force:
            found, _ = await self._training.sets.get(caller, request.name)
            return pb.DeleteTrainingSetResponse(example_count=found.examples, deleted=False)
        receipt = await self._erasing.training_set(caller, request.name)
        return pb.DeleteTrainingSetResponse(example_count=receipt.records, deleted=True, receipt=from_receipt(receipt))

    async def AddExamples(
        self, requests: AsyncIterator[pb.AddExamplesRequest], caller: Principal
    ) -> AsyncIterator[pb.AddExamplesResponse]:
        """Adds batches of examples. Yields the results in order."""
        into = ""
        async for request in requests:
            into = into or request.training_set
            if request.training_set not in ("", into):
                raise invalid("training_set", "all messages of a stream must have the same training set")
            check_count("examples", len(request.examples), MAX_BATCH_EXAMPLES)
            new = [_to_example(e) for e in request.examples]
            subject: Details = {"training_set": into}
            await self._training.sets.uid(caller, into)
            with translated_errors():
                await current_tallies().begin(caller, "examples.write", subject)
            results = await self._training.sets.add(caller, into, new)
            written = sum(r.outcome in ("added", "replaced") for r in results)
            current_tallies().add(caller, "examples.write", subject, examples=written)
            del request, new  # a stream that idles keeps no picture
            yield pb.AddExamplesResponse(results=[_to_result(r) for r in results])

    async def ListExamples(self, request: pb.ListExamplesRequest, caller: Principal) -> pb.ListExamplesResponse:
        """Returns a page of examples. The token is the last id of the previous page."""
        size = page_size(request.page_size)
        found = await self._training.sets.examples(caller, request.training_set, request.page_token, size + 1)
        token = found[size - 1].example_id if len(found) > size else ""
        examples = [pb.Example(example_id=e.example_id, label=e.label, size_bytes=e.size) for e in found[:size]]
        return pb.ListExamplesResponse(examples=examples, next_page_token=token)

    async def DeleteExamples(self, request: pb.DeleteExamplesRequest, caller: Principal) -> pb.DeleteExamplesResponse:
        """Deletes examples."""
        check_count("example_ids", len(request.example_ids), MAX_IDS)
        count = await self._training.sets.remove(caller, request.training_set, request.example_ids)
        return pb.DeleteExamplesResponse(example_count=count)

    async def GetExampleLink(self, request: pb.GetExampleLinkRequest, caller: Principal) -> pb.GetExampleLinkResponse:
        """Returns a link to the picture of an example."""
        set_uid, example = await self._training.sets.example(caller, request.training_set, request.example_id)
        minutes = request.minutes or DEFAULT_LINK_MINUTES
        link = self._download_links.make(caller, "example", set_uid, example.object_id, minutes)
        return pb.GetExampleLinkResponse(url=link.url, expire_time=timestamp(link.expires_ms))

    async def TrainModel(self, request: pb.TrainModelRequest, caller: Principal) -> pb.TrainModelResponse:
        """Starts a training."""
        if not _MODEL_NAME.fullmatch(request.model_name):
            raise invalid("model_name", "the name does not match [a-z0-9][a-z0-9_-]{0,50}")
        training = TrainingRequest(request.training_set, request.base_encoder_id, OWN_PREFIX + request.model_name)
        return pb.TrainModelResponse(training=_to_training(await self._training.begin(caller, training)))

    async def ListTrainings(self, request: pb.ListTrainingsRequest, caller: Principal) -> pb.ListTrainingsResponse:
        """Returns the last trainings."""
        found = await self._training.all(caller)
        return pb.ListTrainingsResponse(trainings=[_to_training(t) for t in found])

    async def GetTraining(self, request: pb.GetTrainingRequest, caller: Principal) -> pb.GetTrainingResponse:
        """Returns a training."""
        return pb.GetTrainingResponse(training=_to_training(await self._training.get(caller, request.training_id)))

    async def WatchTraining(
        self, request: pb.WatchTrainingRequest, caller: Principal
    ) -> AsyncIterator[pb.WatchTrainingResponse]:
        """Yields a training whenever it changes, until it has ended."""
        sent: Training | None = None
        while True:
            found = await self._training.get(caller, request.training_id)
            if found != sent:
                yield pb.WatchTrainingResponse(training=_to_training(found))
            if found.state.final:
                return
            sent = found
            await self._training.change(_LOOK_AGAIN_S)

    async def CancelTraining(self, request: pb.CancelTrainingRequest, caller: Principal) -> pb.CancelTrainingResponse:
        """Cancels a training."""
        return pb.CancelTrainingResponse(
            training=_to_training(await self._training.cancel(caller, request.training_id))
        )

    async def ListModels(self, request: pb.ListModelsRequest, caller: Principal) -> pb.ListModelsResponse:
        """Returns the models of the tenant."""
        return pb.ListModelsResponse(models=[_to_model(m) for m in await self._training.own.all(caller)])

    async def DeleteModel(self, request: pb.DeleteModelRequest, caller: Principal) -> pb.DeleteModelResponse:
        """Deletes a model, or reports which collections are pinned to it."""
        pinned = await self._training.own.pinned(caller, request.encoder_id)
        if request.force:
            await self._erasing.model(caller, request.encoder_id)
        else:
            await self._training.own.get(caller, request.encoder_id)
        return pb.DeleteModelResponse(deleted=request.force, collections=pinned)


def _to_set(found: TrainingSet) -> pb.TrainingSet:
    return pb.TrainingSet(
        name=found.name, description=found.description, example_count=found.examples, label_count=found.labels,
        stored_bytes=found.size, create_time=timestamp(found.created_ms),
    )  # fmt: skip


def _to_example(given: pb.ExampleInput) -> NewExample:
    image = given.image if given.HasField("image") else None
    return NewExample(given.example_id, given.label, PictureSource(image=image, url=given.url))


def _to_result(result: ExampleResult) -> pb.ExampleResult:
    error = to_record_error(result.error) if result.error is not None else None
    return pb.ExampleResult(example_id=result.example_id, outcome=result.outcome, error=error)


def _to_training(training: Training) -> pb.Training:
    requested = training.request
    return pb.Training(
        training_id=training.training_id, training_set=requested.training_set, base_encoder_id=requested.base_encoder,
        encoder_id=requested.model_name, state=training.state.value, done=training.done, total=training.total,
        message=training.message, create_time=timestamp(training.created_ms),
        end_time=timestamp(training.ended_ms) if training.ended_ms else None,
        card_json=json.dumps(training.card) if training.card else "",
    )  # fmt: skip


def _to_model(model: OwnModel) -> pb.OwnModel:
    manifest = Manifest.model_validate_json(model.manifest)
    return pb.OwnModel(
        encoder_id=model.encoder_id, base_encoder_id=model.base_encoder, training_set=model.training_set,
        dimension=manifest.output.dimension, fingerprint=manifest.fingerprint, license=manifest.license,
        card_json=json.dumps(model.card), create_time=timestamp(model.created_ms),
    )  # fmt: skip
