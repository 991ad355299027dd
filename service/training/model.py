"""Values of training sets, trainings and models. All are frozen; times are milliseconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where a training is. The last four are final. refused: what was fitted is not better than its base, or there was
    too little to fit by."""

    QUEUED = "queued"
    RUNNING = "running"
    PUBLISHED = "published"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True)
class TrainingSet:
    """Labelled pictures. uid: under which they lie in object storage."""

    uid: str
    name: str
    description: str
    created_ms: int
    examples: int = 0
    labels: int = 0
    size: int = 0


@dataclass(frozen=True)
class Example:
    """A labelled picture. Two with one label show the same thing, or the same kind of thing."""

    example_id: str
    label: str
    object_id: str
    size: int
    digest: bytes


@dataclass(frozen=True)
class Wanted:
    """A training to make: on which set, on top of which encoder, what the model is to be called."""

    training_set: str
    base_encoder: str
    model_name: str


@dataclass(frozen=True)
class Training:
    """A training, and how far it is. card: what was measured, once it was."""

    training_id: str
    wanted: Wanted
    state: State
    done: int
    total: int
    message: str
    created_ms: int
    ended_ms: int
    card: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OwnModel:
    """A model that a tenant had trained. manifest: its encoder manifest, JSON; card: what was measured before and
    after; object_id: its file in object storage."""

    encoder_id: str
    base_encoder: str
    training_set: str
    manifest: str
    card: dict[str, Any]
    object_id: str
    created_ms: int
