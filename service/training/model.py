"""Training sets, trainings and models. All are frozen. Times are milliseconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """The state of a training. The last four are final.

    REFUSED: the fitted model is not better than its base, or there were too few examples.
    """

    QUEUED = "queued"
    RUNNING = "running"
    PUBLISHED = "published"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the training has ended."""
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True)
class TrainingSet:
    """Labelled pictures. `uid`: the prefix of their objects."""

    uid: str
    name: str
    description: str
    created_ms: int
    examples: int = 0
    labels: int = 0
    size: int = 0


@dataclass(frozen=True)
class Example:
    """A labelled picture. Examples with one label show the same thing, or the same kind of thing."""

    example_id: str
    label: str
    object_id: str
    size: int
    digest: bytes


@dataclass(frozen=True)
class TrainingRequest:
    """A request for a training."""

    training_set: str
    base_encoder: str
    model_name: str


@dataclass(frozen=True)
class Training:
    """A training and its progress. `card`: the measurements, once they exist."""

    training_id: str
    request: TrainingRequest
    state: State
    done: int
    total: int
    message: str
    created_ms: int
    ended_ms: int
    card: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OwnModel:
    """A model trained for a tenant.

    - `manifest`: its encoder manifest as JSON.
    - `card`: measurements before and after.
    - `object_id`: its file in object storage.
    """

    encoder_id: str
    base_encoder: str
    training_set: str
    manifest: str
    card: dict[str, Any]
    object_id: str
    created_ms: int
