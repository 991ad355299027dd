"""The workload for benchmarks of the index: vectors, attributes, queries with filters, and exact results."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.index.vectors import Generator, Vectors, unit

K, QUERIES, FILTERED_QUERIES, ZONES, COLORS = 10, 1000, 200, 64, 8
PASS_RATES = (0.5, 0.1, 0.01, 0.001)
_BLOCK = 65_536


@dataclass(frozen=True)
class Condition:
    """A filter.

    - `below`: the number `u` is less than this.
    - `color`: the text `color` equals this.
    - `zone`: the record is in this part of the space or, with `outside`, is not.
    """

    below: float | None = None
    color: str | None = None
    zone: int | None = None
    outside: bool = False

    @property
    def text(self) -> str:
        """The filter in this project's syntax."""
        parts = []
        if self.below is not None:
            parts.append(f"u < {self.below}")
        if self.color is not None:
            parts.append(f'color = "{self.color}"')
        if self.zone is not None:
            parts.append(f'{"NOT " if self.outside else ""}zone = "z{self.zone}"')
        return " AND ".join(parts)


class Workload:
    """A number of rows with their queries. The same seed gives the same workload."""

    def __init__(self, real: Vectors, rows: int, folder: Path) -> None:
        generator = Generator(real)
        path = folder / f"rows-{rows}.npy"
        if not path.exists():
            target = np.lib.format.open_memmap(path, "w+", np.float32, (rows, real.shape[1]))
            at = 0
            for block in generator.stream(rows, 1):
                target[at : at + len(block)] = block
                at += len(block)
        self.vectors: Vectors = np.load(path, mmap_mode="r")
        self.queries = generator.draw(QUERIES, 99)
        rng = np.random.default_rng(2)
        self.u = rng.random(rows)
        self.color = rng.integers(COLORS, size=rows)
        self._centres = unit(real[rng.permutation(len(real))[:ZONES]])
        self.zone = np.concatenate(
            [(self.vectors[i : i + _BLOCK] @ self._centres.T).argmax(1) for i in range(0, rows, _BLOCK)]
        )

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.vectors)

    @property
    def dimension(self) -> int:
        """The dimension of the vectors."""
        return int(self.vectors.shape[1])

    def payload(self, row: int) -> dict[str, str | float]:
        """The attributes of a row."""
        return {"u": float(self.u[row]), "color": f"c{self.color[row]}", "zone": f"z{self.zone[row]}"}

    @cached_property
    def query_zones(self) -> NDArray[np.int64]:
        """The zone of each query."""
        return np.asarray((self.queries @ self._centres.T).argmax(1))

    def cases(self) -> dict[str, list[Condition]]:
        """Filters by name, one for each filtered query."""
        few = range(FILTERED_QUERIES)
        found = {f"one, {rate:.1%}": [Condition(rate) for _ in few] for rate in PASS_RATES}
        found["two, 1.0%"] = [Condition(0.08, f"c{i % COLORS}") for i in few]
        found["with the query, its zone"] = [Condition(zone=int(z)) for z in self.query_zones[:FILTERED_QUERIES]]
        found["against the query, 10%"] = [Condition(0.1, zone=int(z), outside=True)
                                           for z in self.query_zones[:FILTERED_QUERIES]]  # fmt: skip
        return found

    def mask(self, condition: Condition) -> NDArray[np.bool_]:
        """The rows that a filter allows."""
        mask = np.ones(self.rows, bool)
        if condition.below is not None:
            mask &= self.u < condition.below
        if condition.color is not None:
            mask &= self.color == int(condition.color[1:])
        if condition.zone is not None:
            mask &= (self.zone != condition.zone) if condition.outside else (self.zone == condition.zone)
        return mask

    def truth(self, conditions: list[Condition] | None = None) -> list[NDArray[np.int64]]:
        """The K nearest rows of each query in single precision, among those that its filter allows."""
        count = len(self.queries) if conditions is None else len(conditions)
        scores = np.full((count, K), -9.0, np.float32)
        rows = np.full((count, K), -1, np.int64)
        masks = None if conditions is None else {c: self.mask(c) for c in set(conditions)}
        for start in range(0, self.rows, _BLOCK):
            likeness = self.queries[:count] @ self.vectors[start : start + _BLOCK].T
            if masks is not None and conditions is not None:
                for i, condition in enumerate(conditions):
                    likeness[i, ~masks[condition][start : start + _BLOCK]] = -9.0
            best = np.argpartition(-likeness, min(K, likeness.shape[1] - 1), axis=1)[:, :K]
            scores = np.hstack([scores, np.take_along_axis(likeness, best, 1)])
            rows = np.hstack([rows, best + start])
            order = np.argsort(-scores, axis=1)[:, :K]
            scores, rows = np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)
        return [r[s > -8] for r, s in zip(rows, scores, strict=True)]
