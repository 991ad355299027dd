"""The expected content of collections after the changes that a writer reported: a plain model."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from index.tenant.directory import TenantDirectory

Records = dict[str, tuple[int, int]]  # vector seed and row, by record id


@dataclass
class Things:
    """A collection: its records, and those of each requested snapshot."""

    records: Records = field(default_factory=dict)
    kept: dict[str, Records] = field(default_factory=dict)

    def delete(self, ids: list[str]) -> None:
        """Deletes records, from the snapshots too."""
        rows = {self.records.pop(i)[1] for i in ids if i in self.records}
        self.kept = {k: {i: r for i, r in kept.items() if r[1] not in rows} for k, kept in self.kept.items()}


class Model:
    """The collections of one thread."""

    def __init__(self) -> None:
        self.things: dict[str, Things] = {}
        self.row = count()

    def apply(self, kind: str, arguments: dict[str, Any], result: str | None) -> None:
        """Makes one change."""
        match kind, arguments:
            case "create", {"name": name}:
                self.things[name] = Things()
            case "insert", {"name": name, "records": records}:
                own = self.things[name].records
                for i, seed in records.items():
                    own[i] = (seed, own[i][1] if i in own else next(self.row))
            case (("delete" | "erase"), {"name": name, "ids": ids}):
                self.things[name].delete(ids)
            case "keep", {"name": name} if result is not None:
                self.things[name].kept[result] = dict(self.things[name].records)
            case "forget", {"name": name, "snapshot_id": snapshot_id}:
                del self.things[name].kept[snapshot_id]
            case "replace", {"name": name, "snapshot_id": snapshot_id}:
                self.things[name].records = dict(self.things[name].kept[snapshot_id])
            case "copy", {"name": name, "snapshot_id": snapshot_id, "target": target}:
                self.things[target] = Things(dict(self.things[name].kept[snapshot_id]))
            case "exchange", {"one": one, "other": other}:
                self.things[one], self.things[other] = self.things[other], self.things[one]
            case "drop", {"name": name}:
                del self.things[name]


class Heard:
    """What a writer's thread had reported by a moment: the acknowledged state, and the change in flight."""

    def __init__(self) -> None:
        self.model, self.in_flight = Model(), None

    def hear(self, line: str) -> None:
        """Processes one line, without its thread number."""
        kind, text = line[0], line[2:]
        if kind == "?":
            self.in_flight = json.loads(text)
        else:
            self.model.apply(*json.loads(text))
            self.in_flight = None

    def possible(self) -> list[dict[str, Things]]:
        """The allowed states after a power cut."""
        if self.in_flight is None:
            return [self.model.things]
        after = copy.deepcopy(self.model.things), Model()
        after[1].things = after[0]
        after[1].apply(*self.in_flight, None)
        return [self.model.things, after[1].things]


def stored_in(tenant: TenantDirectory, thread: int) -> dict[str, dict[str, Any]]:
    """The content of a tenant's directory: per collection its records, and those of each restorable snapshot."""
    found = {}
    for name in tenant.names():
        if name.startswith(f"c{thread}-"):
            collection = tenant.collection(name)
            records = {r.record_id: int(r.attributes["seed"]) for r in collection.list(0, 1000)}  # type: ignore[arg-type]
            found[name] = {"records": records, "kept": set(collection.kept.ids())}
    return found
