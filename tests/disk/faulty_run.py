"""A process with a failing disk: `python -m tests.disk.faulty_run FOLDER FAULTS ERROR...`, with the recorder loaded.

For each system call that may fail and each kind of file, it creates a collection and lets the call fail during all
operations. It then opens the collection again without faults, and prints a line of JSON.
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

from index import Collection, RecordPatch, RecordWrite, SearchQuery
from service.engine.faults import as_service_error
from tests.support.data.collections import SPEC, directory, record, vector

CALLS = ("open", "read", "write", "fsync", "rename")
PARTS = ("records.db", "records.db-wal", "collections.db", "snapshot-", "kept-", "manifest.json")
_RECORDS = 60


def changes(collection: Collection, number: int, state: dict[str, bool]) -> list[tuple[str, Callable[[], object]]]:
    """Operations. Those that change records note acknowledged ids: present or absent."""
    new, old = f"new-{number}", str(number % _RECORDS)

    def insert() -> None:
        collection.upsert([RecordWrite(new, vector(1000 + number))])
        state[new] = True

    def delete() -> None:
        collection.delete([old])
        state[old] = False

    return [
        ("insert", insert), ("delete", delete),
        ("patch", lambda: collection.patch([RecordPatch("59", set_attributes={"n": 1.0})])),
        ("get", lambda: collection.get(["58", "57"], vectors=True)),
        ("search", lambda: collection.search(SearchQuery(vector(3), k=5))),
        ("list", lambda: collection.list(0, 100)), ("stats", collection.stats), ("usage", collection.usage),
        ("snapshot", collection.snapshot), ("keep", collection.keep_snapshot), ("compact", collection.compact),
        ("problems", lambda: list(collection.problems())),
    ]  # fmt: skip


def run(folder: Path, faults: Path, case: tuple[str, str, int]) -> dict[str, object]:
    """The result of one case: reasons of refusals, and inconsistencies after the disk works again."""
    folder.mkdir()
    tenant = directory(folder)
    collection = tenant.create(SPEC)
    collection.upsert([record(n) for n in range(_RECORDS)])
    collection.snapshot()
    collection.keep_snapshot()
    state: dict[str, bool] = {}
    reasons: dict[str, str] = {}
    faults.write_text("{} {} {}".format(*case))
    for number, (name, change) in enumerate(changes(collection, 1, state)):
        try:
            change()
        except Exception as error:
            reasons[f"{number} {name}"] = as_service_error(error).reason.name
    try:
        tenant.close()
    except Exception as error:
        reasons["close"] = as_service_error(error).reason.name
    try:
        directory(folder).collection("things").loaded_stats()
    except Exception as error:
        reasons["reopen"] = as_service_error(error).reason.name
    faults.unlink()
    wrong = list(_wrong(folder, state, reasons))
    return {"case": case, "reasons": reasons, "wrong": wrong}


def _wrong(folder: Path, state: dict[str, bool], reasons: dict[str, str]) -> list[str]:
    tenant = directory(folder)
    collection = tenant.collection("things")
    stored = {r.record_id for r in collection.list(0, 1000)}
    lost = [f"acknowledged and not so: {i} {there}" for i, there in state.items() if (i in stored) is not there]
    unknown = set(reasons.values()) & {"WRITE_OUTCOME_UNKNOWN"}
    expected = {str(n) for n in range(_RECORDS)} | {i for i, there in state.items() if there}
    missing = sorted(expected - stored - {i for i, there in state.items() if not there})
    if not unknown:
        lost += [f"missing: {i}" for i in missing]
    problems = [p for p in collection.problems() if not p.startswith("snapshot-")]
    tenant.close()
    return lost + problems


def main() -> None:
    root, faults = Path(sys.argv[1]), Path(sys.argv[2])
    errors = [getattr(errno, name) for name in sys.argv[3:]]
    for number, case in enumerate(product(CALLS, PARTS, errors)):
        print(json.dumps(run(root / str(number), faults, case)), flush=True)


if __name__ == "__main__":
    main()
