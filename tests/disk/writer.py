"""A process that makes every kind of durable change: `python -m tests.disk.writer FOLDER SEED STEPS`.

Two threads change their own collections. The process prints a line before each change ("? THREAD JSON"), and one after
its acknowledgement with the result of the call ("! THREAD JSON").
"""

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from index import RecordWrite
from index.records import group_commit
from index.tenant.directory import TenantDirectory
from tests.support.data.collections import SPEC, directory, vector

THREADS = 2
_KINDS = (
    *["insert"] * 4, "delete", "snapshot", "compact", "keep", "keep", "forget", "erase", "replace", "copy", "exchange",
    "drop", "create",
)  # fmt: skip


class Changes:
    """Random changes of one thread's collections, named with its number."""

    def __init__(self, tenant: TenantDirectory, thread: int, seed: int, say: Callable[[str], None]) -> None:
        self._tenant, self._thread, self._say = tenant, thread, say
        self._chance = random.Random(seed * 10 + thread)

    def run(self, steps: int) -> None:
        """Makes changes in sequence."""
        self._do("create", name=self._name(0))
        for _ in range(steps):
            kind = self._chance.choice(_KINDS)
            if (arguments := getattr(self, f"_{kind}_arguments", self._of_one)()) is not None:
                self._do(kind, **arguments)

    def _do(self, kind: str, **arguments: Any) -> None:
        self._say(f"? {self._thread} {json.dumps([kind, arguments])}")
        result = getattr(self, f"_{kind}")(**arguments)
        self._say(f"! {self._thread} {json.dumps([kind, arguments, result])}")

    def _name(self, number: int) -> str:
        return f"c{self._thread}-{number}"

    def _names(self) -> list[str]:
        return [n for n in self._tenant.names() if n.startswith(f"c{self._thread}-")]

    def _of_one(self) -> dict[str, Any] | None:
        names = self._names()
        return {"name": self._chance.choice(names)} if names else None

    def _kept_of_one(self) -> dict[str, Any] | None:
        pairs = [(n, s.snapshot_id) for n in self._names() for s in self._tenant.collection(n).kept.list()]
        if not pairs:
            return None
        name, snapshot_id = self._chance.choice(sorted(pairs))
        return {"name": name, "snapshot_id": snapshot_id}

    # ---- what each kind needs, and how it is done

    def _create_arguments(self) -> dict[str, Any] | None:
        free = sorted({self._name(n) for n in range(3)} - set(self._names()))
        return {"name": free[0]} if free else None

    def _create(self, name: str) -> None:
        self._tenant.create(replace(SPEC, name=name))

    def _insert_arguments(self) -> dict[str, Any] | None:
        if (found := self._of_one()) is None:
            return None
        count = self._chance.choice((1, 2, 5, 30))
        records = {f"r{self._chance.randrange(60)}": self._chance.randrange(10_000) for _ in range(count)}
        return {**found, "records": records}

    def _insert(self, name: str, records: dict[str, int]) -> None:
        writes = [RecordWrite(i, vector(s), attributes={"seed": float(s)}) for i, s in records.items()]
        self._tenant.collection(name).upsert(writes)

    def _delete_arguments(self) -> dict[str, Any] | None:
        if (found := self._of_one()) is None:
            return None
        return {**found, "ids": sorted({f"r{self._chance.randrange(60)}" for _ in range(5)})}

    def _delete(self, name: str, ids: list[str]) -> None:
        self._tenant.collection(name).delete(ids)

    _erase_arguments = _delete_arguments

    def _erase(self, name: str, ids: list[str]) -> None:
        self._tenant.collection(name).erase(ids)

    def _snapshot(self, name: str) -> None:
        self._tenant.collection(name).snapshot()

    def _compact(self, name: str) -> None:
        self._tenant.collection(name).compact()

    def _keep(self, name: str) -> str:
        return self._tenant.collection(name).keep_snapshot().snapshot_id

    _forget_arguments = _kept_of_one

    def _forget(self, name: str, snapshot_id: str) -> None:
        self._tenant.collection(name).kept.delete(snapshot_id)

    _replace_arguments = _kept_of_one

    def _replace(self, name: str, snapshot_id: str) -> None:
        self._tenant.restore(name, snapshot_id, name, replacing=True)

    def _copy_arguments(self) -> dict[str, Any] | None:
        found, free = self._kept_of_one(), self._create_arguments()
        return {**found, "target": free["name"]} if found and free else None

    def _copy(self, name: str, snapshot_id: str, target: str) -> None:
        self._tenant.restore(name, snapshot_id, target)

    def _exchange_arguments(self) -> dict[str, Any] | None:
        names = self._names()
        if len(names) < 2:
            return None
        one, other = self._chance.sample(names, 2)
        return {"one": one, "other": other}

    def _exchange(self, one: str, other: str) -> None:
        self._tenant.exchange(one, other)

    def _drop_arguments(self) -> dict[str, Any] | None:
        names = self._names()
        return {"name": names[-1]} if len(names) > 1 else None

    def _drop(self, name: str) -> None:
        self._tenant.delete(name)


def main() -> None:
    folder, seed, steps = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    group_commit._LARGE = 3  # few changes have the threads that many have
    tenant, lock = directory(folder), threading.Lock()

    def say(line: str) -> None:
        with lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    threads = [threading.Thread(target=Changes(tenant, n, seed, say).run, args=(steps,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
