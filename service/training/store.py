"""A tenant's training sets, trainings and models, in `training.db` under its data key.

Pictures and model files are in object storage. The name of an object is stored before the object is written. It is in
the table `loose` until a row refers to it.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from index import Usage, new_uid, open_listed
from index.storage import DatabaseLock, checkpoint, derive_key, step
from service.runtime.clock import now_ms
from service.training.model import Example, OwnModel, State, Training, TrainingRequest, TrainingSet
from service.training.store_schema import EXAMPLE, MIGRATIONS, MODEL, SETS, TRAINING, to_model, to_training

MODELS_HOME = "models"
UPLOAD_MS = 3_600_000
_KEPT_TRAININGS = 200


class TrainingStore:
    """The database of one tenant. All methods are thread-safe, and raise StoreUnavailable if the disk fails."""

    def __init__(self, path: Path, data_key: bytes) -> None:
        """Opens the database, or creates it if the tenant's manifest lists none. Raises DataFault."""
        self._digest_key = derive_key(data_key, "training digest")
        self._listed = open_listed(path, data_key, "training", MIGRATIONS)
        self._database = self._listed.connection
        self._lock = DatabaseLock(path)

    def close(self) -> None:
        """Closes the database."""
        with self._lock:
            self._listed.close()

    def note_progress(self) -> None:
        """Stores the current state of the database in the tenant's manifest. Raises StoreUnavailable."""
        with self._lock:
            self._listed.note()

    # ---- sets

    def create_set(self, name: str, description: str) -> TrainingSet | None:
        """Creates an empty set; None if the name is taken."""
        made = TrainingSet(new_uid(), name, description, now_ms())
        with self._changing() as run:
            values = (made.uid, name, description, made.created_ms)
            return made if run("INSERT OR IGNORE INTO sets VALUES (?, ?, ?, ?)", values).rowcount else None

    def usage(self) -> Usage:
        """The storage used by the pictures of all sets."""
        return Usage(0, int(self._rows("SELECT coalesce(sum(bytes), 0) FROM examples")[0][0]))

    def sets(self) -> list[TrainingSet]:
        """All sets, ordered by name."""
        return [TrainingSet(*row) for row in self._rows(SETS)]

    def set_named(self, name: str) -> TrainingSet | None:
        """One set."""
        return next((s for s in self.sets() if s.name == name), None)

    def uid_of(self, name: str) -> str | None:
        """The uid of a set, without counting its examples."""
        return next((row[0] for row in self._rows("SELECT uid FROM sets WHERE name = ?", (name,))), None)

    def labels(self, set_uid: str) -> dict[str, int]:
        """The number of examples of each label."""
        return dict(self._rows("SELECT label, count(*) FROM examples WHERE set_uid = ? GROUP BY label", (set_uid,)))

    def delete_set(self, set_uid: str) -> int:
        """Deletes a set, which orphans its pictures. Returns how many there were."""
        with self._changing() as run:
            run("INSERT OR REPLACE INTO loose SELECT set_uid, object_id, 0 FROM examples WHERE set_uid = ?", (set_uid,))
            count = run("DELETE FROM examples WHERE set_uid = ?", (set_uid,)).rowcount
            run("DELETE FROM sets WHERE uid = ?", (set_uid,))
        self._settle()
        return int(count)

    # ---- examples

    def announce(self, home: str, object_id: str) -> None:
        """Stores the name of an object. Call it before the object is written."""
        with self._changing() as run:
            run("INSERT INTO loose VALUES (?, ?, ?)", (home, object_id, now_ms()))

    def digest(self, picture: bytes) -> bytes:
        """A keyed digest of a picture, 32 bytes."""
        return hmac.digest(self._digest_key, picture, "sha256")

    def example_with(self, set_uid: str, digest: bytes) -> Example | None:
        """The example of a set that has the same picture."""
        rows = self._rows(f"SELECT {EXAMPLE} FROM examples WHERE set_uid = ? AND digest = ?", (set_uid, digest))  # noqa: S608
        return Example(*rows[0]) if rows else None

    def put_example(self, set_uid: str, example: Example) -> bool:
        """Stores an example, replacing one with its id. Returns False if the set was deleted."""
        with self._changing() as run:
            if run("SELECT 1 FROM sets WHERE uid = ?", (set_uid,)).fetchone() is None:
                return False
            given = (set_uid, example.example_id)
            run(
                "INSERT OR REPLACE INTO loose SELECT set_uid, object_id, 0 FROM examples"
                " WHERE set_uid = ? AND example_id = ?", given,
            )  # fmt: skip
            run("DELETE FROM examples WHERE set_uid = ? AND example_id = ?", given)
            run(
                f"INSERT INTO examples (set_uid, {EXAMPLE}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
                (set_uid, example.example_id, example.label, example.object_id, example.size, example.digest),
            )
            run("DELETE FROM loose WHERE home = ? AND object_id = ?", (set_uid, example.object_id))
            return True

    def examples(self, set_uid: str, after: str = "", limit: int = -1) -> list[Example]:
        """Examples with ids above `after`, ordered by id."""
        query = f"SELECT {EXAMPLE} FROM examples WHERE set_uid = ? AND example_id > ? ORDER BY example_id LIMIT ?"  # noqa: S608
        return [Example(*row) for row in self._rows(query, (set_uid, after, limit))]

    def example(self, set_uid: str, example_id: str) -> Example | None:
        """One example."""
        query = f"SELECT {EXAMPLE} FROM examples WHERE set_uid = ? AND example_id = ?"  # noqa: S608
        return next((Example(*row) for row in self._rows(query, (set_uid, example_id))), None)

    def holds(self, set_uid: str, object_id: str) -> bool:
        """Whether an object is the current picture of an example."""
        query = "SELECT 1 FROM examples WHERE set_uid = ? AND object_id = ?"
        return bool(self._rows(query, (set_uid, object_id)))

    def delete_examples(self, set_uid: str, example_ids: Sequence[str]) -> int:
        """Deletes examples; returns how many there were."""
        count = 0
        with self._changing() as run:
            for given in ((set_uid, i) for i in example_ids):
                where = "FROM examples WHERE set_uid = ? AND example_id = ?"
                run(f"INSERT OR REPLACE INTO loose SELECT set_uid, object_id, 0 {where}", given)
                count += run(f"DELETE {where}", given).rowcount
        self._settle()
        return count

    def loose(self) -> list[tuple[str, str]]:
        """Orphaned objects that can be deleted, as (home, object id)."""
        return self._rows("SELECT home, object_id FROM loose WHERE since_ms <= ?", (now_ms() - UPLOAD_MS,))

    def forget_loose(self, objects: Sequence[tuple[str, str]]) -> None:
        """Removes the entries of deleted objects."""
        with self._changing() as run:
            for given in objects:
                run("DELETE FROM loose WHERE home = ? AND object_id = ?", given)

    # ---- trainings

    def create_training(self, request: TrainingRequest) -> Training:
        """Stores a new training, and deletes the oldest ones."""
        made = Training(new_uid()[:16], request, State.QUEUED, 0, 0, "", now_ms(), 0)
        with self._changing() as run:
            run(
                f"INSERT INTO trainings ({TRAINING}) VALUES (?, ?, ?, ?, ?, 0, 0, '', ?, 0, '{{}}')",  # noqa: S608
                (made.training_id, request.training_set, request.base_encoder, request.model_name, made.state.value,
                 made.created_ms),
            )  # fmt: skip
            run("DELETE FROM trainings WHERE number <= (SELECT max(number) FROM trainings) - ?", (_KEPT_TRAININGS,))
        return made

    def note(self, training: Training) -> None:
        """Stores the progress of a training, unless it has ended."""
        with self._changing() as run:
            run(
                "UPDATE trainings SET state = ?, done = ?, total = ?, message = ?, ended_ms = ?, card = ?"
                " WHERE training_id = ? AND state IN ('queued', 'running')",
                (training.state.value, training.done, training.total, training.message, training.ended_ms,
                 json.dumps(training.card), training.training_id),
            )  # fmt: skip

    def trainings(self) -> list[Training]:
        """All stored trainings, newest first."""
        rows = self._rows(f"SELECT {TRAINING} FROM trainings ORDER BY number DESC")  # noqa: S608
        return [to_training(row) for row in rows]

    def training(self, training_id: str) -> Training | None:
        """One training."""
        rows = self._rows(f"SELECT {TRAINING} FROM trainings WHERE training_id = ?", (training_id,))  # noqa: S608
        return to_training(rows[0]) if rows else None

    # ---- models

    def publish(self, model: OwnModel, training: Training) -> bool:
        """Stores a model together with the end of its training.

        Returns False, without storing anything, if the training has ended or its set was deleted.
        """
        with self._changing() as run:
            row = run("SELECT state FROM trainings WHERE training_id = ?", (training.training_id,)).fetchone()
            there = run("SELECT 1 FROM sets WHERE name = ?", (model.training_set,)).fetchone()
            if row is None or State(row[0]).final or there is None:
                return False
            run(
                f"INSERT INTO models ({MODEL}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                (model.encoder_id, model.base_encoder, model.training_set, model.manifest, json.dumps(model.card),
                 model.object_id, model.created_ms),
            )  # fmt: skip
            run("DELETE FROM loose WHERE home = ? AND object_id = ?", (MODELS_HOME, model.object_id))
            run(
                "UPDATE trainings SET state = ?, message = ?, ended_ms = ?, card = ? WHERE training_id = ?",
                (training.state.value, training.message, training.ended_ms, json.dumps(training.card),
                 training.training_id),
            )  # fmt: skip
            return True

    def models(self) -> list[OwnModel]:
        """All models, ordered by id."""
        rows = self._rows(f"SELECT {MODEL} FROM models ORDER BY encoder_id")  # noqa: S608
        return [to_model(row) for row in rows]

    def delete_model(self, encoder_id: str) -> bool:
        """Deletes a model, which orphans its file. Returns whether there was one."""
        with self._changing() as run:
            run(
                "INSERT OR REPLACE INTO loose SELECT ?, object_id, 0 FROM models WHERE encoder_id = ?",
                (MODELS_HOME, encoder_id),
            )
            found = run("DELETE FROM models WHERE encoder_id = ?", (encoder_id,)).rowcount
        self._settle()
        return bool(found)

    def _settle(self) -> None:
        """Empties the write-ahead log, so that it does not contain deleted data."""
        with self._lock:
            checkpoint(self._database)

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            return list(self._database.execute(query, values).fetchall())

    @contextmanager
    def _changing(self) -> Iterator[Any]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database.execute
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            step("before training.db is changed")
            self._database.execute("COMMIT")
            step("training.db is changed")
