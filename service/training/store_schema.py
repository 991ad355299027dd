"""Tables of a tenant's training database, and the columns of its rows."""

from __future__ import annotations

import json
from typing import Any

from service.training.model import OwnModel, State, Training, TrainingRequest

MIGRATIONS = (
    """
    CREATE TABLE sets (uid TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
      created_ms INTEGER NOT NULL);
    CREATE TABLE examples (number INTEGER PRIMARY KEY AUTOINCREMENT, set_uid TEXT NOT NULL, example_id TEXT NOT NULL,
      label TEXT NOT NULL, object_id TEXT NOT NULL, bytes INTEGER NOT NULL, digest BLOB NOT NULL,
      UNIQUE (set_uid, example_id));
    CREATE INDEX examples_by_digest ON examples (set_uid, digest);
    CREATE TABLE trainings (number INTEGER PRIMARY KEY AUTOINCREMENT, training_id TEXT NOT NULL UNIQUE,
      training_set TEXT NOT NULL, base_encoder TEXT NOT NULL, model_name TEXT NOT NULL, state TEXT NOT NULL,
      done INTEGER NOT NULL, total INTEGER NOT NULL, message TEXT NOT NULL, created_ms INTEGER NOT NULL,
      ended_ms INTEGER NOT NULL, card TEXT NOT NULL);
    CREATE TABLE models (encoder_id TEXT PRIMARY KEY, base_encoder TEXT NOT NULL, training_set TEXT NOT NULL,
      manifest TEXT NOT NULL, card TEXT NOT NULL, object_id TEXT NOT NULL, created_ms INTEGER NOT NULL);
    CREATE TABLE loose (home TEXT NOT NULL, object_id TEXT NOT NULL, since_ms INTEGER NOT NULL,
      PRIMARY KEY (home, object_id)) WITHOUT ROWID
    """,
)
TRAINING = (
    "training_id, training_set, base_encoder, model_name, state, done, total, message, created_ms, ended_ms, card"
)
EXAMPLE = "example_id, label, object_id, bytes, digest"
MODEL = "encoder_id, base_encoder, training_set, manifest, card, object_id, created_ms"
SETS = (
    "SELECT uid, name, description, created_ms, count(number), count(DISTINCT label), coalesce(sum(bytes), 0)"
    " FROM sets LEFT JOIN examples ON set_uid = uid GROUP BY uid ORDER BY name"
)


def to_training(row: Any) -> Training:
    """The training of a row of the columns TRAINING."""
    request = TrainingRequest(row[1], row[2], row[3])
    return Training(row[0], request, State(row[4]), row[5], row[6], row[7], row[8], row[9], json.loads(row[10]))


def to_model(row: Any) -> OwnModel:
    """The model of a row of the columns MODEL."""
    return OwnModel(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], row[6])
