"""Calls for own models: training sets, trainings, models. See `calls`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from afterimage.client.calls import Call
from afterimage.client.checks import checked_image, checked_sources, checked_text, checked_texts
from afterimage.client.convert import to_failure
from afterimage.client.kept import PictureLink
from afterimage.client.oversight import ErasureReceipt, to_receipt
from afterimage.client.values import ImageSource, RecordFailure
from afterimage.v1 import training_service_pb2 as pb

_BATCH, _BATCH_BYTES = 100, 12 * 1024 * 1024
_PATIENCE_S = 3600.0
_ENDED = ("published", "refused", "failed", "cancelled")


@dataclass(frozen=True)
class TrainingSet:
    """Labelled pictures for training. labels: number of examples of each; only if one set was requested."""

    name: str
    description: str
    example_count: int
    label_count: int
    stored_bytes: int
    create_time: datetime
    labels: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NewExample:
    """A labelled picture to add: its bytes, or its URL."""

    example_id: str
    label: str
    image: ImageSource | None = field(default=None, repr=False)
    url: str = ""


@dataclass(frozen=True)
class ExampleResult:
    """The result for an example: added, replaced, unchanged or failed."""

    example_id: str
    outcome: str
    error: RecordFailure | None


@dataclass(frozen=True)
class Example:
    """A labelled picture of a set."""

    example_id: str
    label: str
    size_bytes: int


@dataclass(frozen=True)
class SetDeletion:
    """What was, or would be, deleted."""

    example_count: int
    deleted: bool
    receipt: ErasureReceipt | None


@dataclass(frozen=True)
class Training:
    """A training. state: queued, running, published, refused, failed or cancelled. card: measurements."""

    training_id: str
    training_set: str
    base_encoder_id: str
    encoder_id: str
    state: str
    done: int
    total: int
    message: str
    create_time: datetime
    end_time: datetime | None
    card: dict[str, Any]

    @property
    def has_ended(self) -> bool:
        """Whether the training has ended."""
        return self.state in _ENDED


@dataclass(frozen=True)
class OwnModel:
    """An own model. encoder_id: for `create_collection`."""

    encoder_id: str
    base_encoder_id: str
    training_set: str
    dimension: int
    fingerprint: str
    license: str
    card: dict[str, Any]
    create_time: datetime


@dataclass(frozen=True)
class ModelDeletion:
    """Whether a model was deleted, and which collections are pinned to it."""

    deleted: bool
    collections: tuple[str, ...]


def create_training_set(name: str, *, description: str = "") -> Call[TrainingSet]:
    """Creates an empty training set."""
    request = pb.CreateTrainingSetRequest(name=name, description=description)
    return Call("TrainingService", "CreateTrainingSet", request, lambda r: _set(r.training_set), retry_safe=False)


def list_training_sets() -> Call[list[TrainingSet]]:
    """Returns all training sets, ordered by name."""
    request = pb.ListTrainingSetsRequest()
    return Call("TrainingService", "ListTrainingSets", request, lambda r: [_set(s) for s in r.training_sets])


def get_training_set(name: str) -> Call[TrainingSet]:
    """Returns a training set, with the number of examples per label."""
    request = pb.GetTrainingSetRequest(name=name)
    return Call("TrainingService", "GetTrainingSet", request, lambda r: _set(r.training_set, dict(r.labels)))


def delete_training_set(name: str, *, force: bool = False) -> Call[SetDeletion]:
    """Deletes a training set with its pictures. Without `force` it only reports what would be deleted."""
    request = pb.DeleteTrainingSetRequest(name=name, force=force)
    return Call("TrainingService", "DeleteTrainingSet", request, _deletion, timeout_s=_PATIENCE_S)


def list_examples_page(training_set: str, page_token: str = "", page_size: int = 0) -> Call[tuple[list[Example], str]]:
    """Returns a page of examples, and the token of the next page (empty: none)."""
    request = pb.ListExamplesRequest(training_set=training_set, page_token=page_token, page_size=page_size)

    def parse(r: pb.ListExamplesResponse) -> tuple[list[Example], str]:
        return [Example(e.example_id, e.label, e.size_bytes) for e in r.examples], r.next_page_token

    return Call("TrainingService", "ListExamples", request, parse)


def delete_examples(training_set: str, example_ids: Sequence[str]) -> Call[int]:
    """Deletes examples. Returns their number."""
    request = pb.DeleteExamplesRequest(training_set=training_set, example_ids=checked_texts("example_ids", example_ids))
    return Call("TrainingService", "DeleteExamples", request, lambda r: int(r.example_count))


def example_link(training_set: str, example_id: str, *, minutes: int = 0) -> Call[PictureLink]:
    """Returns a link to the picture of an example, valid for 1 to 60 minutes (0: 10)."""
    request = pb.GetExampleLinkRequest(training_set=training_set, example_id=example_id, minutes=minutes)
    return Call(
        "TrainingService", "GetExampleLink", request,
        lambda r: PictureLink(r.url, r.expire_time.ToDatetime(timezone.utc), "ENCRYPTED_COPY"),
    )  # fmt: skip


def train_model(training_set: str, model_name: str, *, base_encoder_id: str = "") -> Call[Training]:
    """Starts training the model `own-<model_name>` on top of an encoder (empty: the server's default)."""
    request = pb.TrainModelRequest(training_set=training_set, model_name=model_name, base_encoder_id=base_encoder_id)
    return Call("TrainingService", "TrainModel", request, lambda r: to_training(r.training), retry_safe=False)


def list_trainings() -> Call[list[Training]]:
    """Returns the last trainings, newest first."""
    request = pb.ListTrainingsRequest()
    return Call("TrainingService", "ListTrainings", request, lambda r: [to_training(t) for t in r.trainings])


def get_training(training_id: str) -> Call[Training]:
    """Returns a training."""
    request = pb.GetTrainingRequest(training_id=training_id)
    return Call("TrainingService", "GetTraining", request, lambda r: to_training(r.training))


def watch_training_request(training_id: str) -> pb.WatchTrainingRequest:
    """Returns the request of `watch_training`."""
    return pb.WatchTrainingRequest(training_id=training_id)


def cancel_training(training_id: str) -> Call[Training]:
    """Cancels a training."""
    request = pb.CancelTrainingRequest(training_id=training_id)
    return Call("TrainingService", "CancelTraining", request, lambda r: to_training(r.training), retry_safe=False)


def list_models() -> Call[list[OwnModel]]:
    """Returns the own models, ordered by id."""
    return Call("TrainingService", "ListModels", pb.ListModelsRequest(), lambda r: [_model(m) for m in r.models])


def delete_model(encoder_id: str, *, force: bool = False) -> Call[ModelDeletion]:
    """Deletes a model. Without `force` it only returns the collections pinned to it."""
    request = pb.DeleteModelRequest(encoder_id=encoder_id, force=force)
    return Call("TrainingService", "DeleteModel", request, lambda r: ModelDeletion(r.deleted, tuple(r.collections)))


def example_batches(training_set: str, examples: Iterable[NewExample]) -> Iterator[pb.AddExamplesRequest]:
    """Yields requests with examples, none of them too large. Raises InvalidArgument."""
    batch: list[pb.ExampleInput] = []
    size = 0
    for example in examples:
        message = pb.ExampleInput(
            example_id=checked_text("example_id", example.example_id), label=checked_text("label", example.label)
        )
        checked_sources({"image": example.image, "url": example.url})
        if example.image is not None:
            message.image = checked_image(example.image)
        else:
            message.url = checked_text("url", example.url)
        added = len(message.image)
        if batch and (len(batch) == _BATCH or size + added > _BATCH_BYTES):
            yield pb.AddExamplesRequest(training_set=training_set, examples=batch)
            batch, size = [], 0
        batch.append(message)
        size += added
    if batch:
        yield pb.AddExamplesRequest(training_set=training_set, examples=batch)


def to_example_result(m: pb.ExampleResult) -> ExampleResult:
    """Returns the result of a message."""
    return ExampleResult(m.example_id, m.outcome, to_failure(m.error) if m.HasField("error") else None)


def to_training(m: pb.Training) -> Training:
    """Returns the training of a message."""
    return Training(
        m.training_id, m.training_set, m.base_encoder_id, m.encoder_id, m.state, m.done, m.total, m.message,
        m.create_time.ToDatetime(timezone.utc), m.end_time.ToDatetime(timezone.utc) if m.HasField("end_time") else None,
        json.loads(m.card_json) if m.card_json else {},
    )  # fmt: skip


def _set(m: pb.TrainingSet, labels: dict[str, int] | None = None) -> TrainingSet:
    return TrainingSet(
        m.name, m.description, m.example_count, m.label_count, m.stored_bytes, m.create_time.ToDatetime(timezone.utc),
        labels or {},
    )  # fmt: skip


def _deletion(r: pb.DeleteTrainingSetResponse) -> SetDeletion:
    return SetDeletion(r.example_count, r.deleted, to_receipt(r.receipt) if r.HasField("receipt") else None)


def _model(m: pb.OwnModel) -> OwnModel:
    return OwnModel(
        m.encoder_id, m.base_encoder_id, m.training_set, m.dimension, m.fingerprint, m.license,
        json.loads(m.card_json), m.create_time.ToDatetime(timezone.utc),
    )  # fmt: skip
