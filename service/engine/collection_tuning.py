"""Tunes and calibrates a tenant's collections: measures, and changes what the caller lets it change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from index import Collection, SearchAnswer, SearchQuery, StoredRecord, Verdict
from service.engine.emphasis import check_default_emphasis, emphasised
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.errors import Reason, ServiceError
from service.tenancy.keyring import Principal
from service.tuning.calibration import Calibration, CalibrationSource
from service.tuning.drawn import weighted
from service.tuning.feedback import suggested_weights
from service.tuning.thresholds import Threshold, TooFewPairs, calibration_of_pairs, thresholds
from service.tuning.tuner import Report, Subject, tune
from service.tuning.tuning import Tuning, tuning_of

MOST_JUDGED = 10_000  # pairs that people judged, in one calibration


@dataclass(frozen=True)
class LabelledRecords:
    """Two records by id, and whether they are the same product."""

    first: str
    second: str
    same: bool


@dataclass(frozen=True)
class PairReport:
    """What labelled pairs say. missing: ids that do not exist. pairs: that were measured."""

    rows: list[Threshold]
    calibration: Calibration
    missing: tuple[str, ...]
    pairs: int


class CollectionTuning:
    """For any tenant. One collection is tuned at a time: a tuning keeps a core busy for seconds."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._turn = engine, asyncio.Lock()

    async def set_weights(self, principal: Principal, name: str, weights: Mapping[str, float]) -> Collection:
        """Sets the weights of searches that give none; empty: all blocks count 1. Scores begin again with those that
        drawn pictures give under these weights: pairs and products were measured under others. Raises ServiceError."""
        collection = await self._engine.collection(principal, name)
        if weights:
            check_default_emphasis(self._engine.blocks_of(collection), weights)
        tuning = tuning_of(collection.spec.tuning)
        changed = tuning.with_weights(weights, learned=False)
        if tuning.calibration is not None:
            drawn = await self._engine.workers.upkeep(self._drawn, collection, weights)
            changed = Tuning(changed.weights, False, drawn, changed.before)
        return await self._change(principal, name, changed)

    async def tune(self, principal: Principal, name: str, *, apply: bool) -> tuple[Report, Collection, bool]:
        """Measures what learned weights and scores would gain. apply: uses what is beyond doubt. Returns the report,
        the collection, and whether it was changed. Raises ServiceError."""
        collection = await self._engine.collection(principal, name)
        async with self._turn:
            with translated_errors():
                report = await self._engine.workers.upkeep(lambda: tune(self._subject(collection)))
        before = tuning_of(collection.spec.tuning)
        changed = before
        if not report.weights.doubt:
            changed = changed.with_weights(report.weights.weights, learned=True)
        if not report.scores.doubt:
            changed = changed.with_calibration(report.scores.calibration)
        elif changed is not before and before.calibration is not None:
            drawn = await self._engine.workers.upkeep(self._drawn, collection, report.weights.weights)
            changed = changed.with_calibration(drawn)
        if not apply or changed is before:
            return report, collection, False
        changed = Tuning(changed.weights, changed.learned, changed.calibration, before.state)
        return report, await self._change(principal, name, changed), True

    async def undo(self, principal: Principal, name: str) -> tuple[Collection, bool]:
        """Returns to the state before the last change of weights or calibration. False: there was none."""
        collection = await self._engine.collection(principal, name)
        before = tuning_of(collection.spec.tuning)
        if before.before is None:
            return collection, False
        return await self._change(principal, name, before.undone()), True

    async def calibrate(
        self, principal: Principal, name: str, pairs: Sequence[LabelledRecords], *, apply: bool
    ) -> tuple[PairReport, Collection]:
        """Measures labelled pairs of records, or without any those that people judged, under the weights of the
        collection. apply: calibrates its scores by them. Raises ServiceError."""
        collection = await self._engine.collection(principal, name)
        with translated_errors():
            report = await self._engine.workers.upkeep(lambda: self._measured(collection, pairs or _judged(collection)))
        if apply:
            tuning = tuning_of(collection.spec.tuning).with_calibration(report.calibration)
            collection = await self._change(principal, name, tuning)
        return report, collection

    async def _change(self, principal: Principal, name: str, tuning: Tuning) -> Collection:
        directory = await self._engine.directory(principal)
        with translated_errors():
            return await self._engine.workers.write(lambda: directory.change(name, tuning=tuning.to_text()))

    def _measured(self, collection: Collection, pairs: Sequence[LabelledRecords]) -> PairReport:
        wanted = list(dict.fromkeys(i for p in pairs for i in (p.first, p.second)))
        records = collection.get(wanted, vectors=True)
        vectors = {i: r.vector for i, r in records.items() if r.vector is not None}
        known = [p for p in pairs if p.first in vectors and p.second in vectors]
        missing = tuple(i for i in wanted if i not in vectors)
        if not known:
            message = "none of the records of the pairs exists" if pairs else "there are no pairs, and none were judged"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="pairs")
        emphasis = self._engine.emphasis_of(collection, {})
        blocks = self._engine.blocks_of(collection)
        first, second = (
            weighted(np.stack(side), blocks, emphasis.weights)
            for side in ([vectors[p.first] for p in known], [vectors[p.second] for p in known])
        )
        distances = np.clip(1 - np.einsum("nd,nd->n", first, second).astype(np.float64), 0, 2)
        same = np.array([p.same for p in known])
        try:
            near = self._engine.score_of(collection).near_duplicate_distance
            calibration = calibration_of_pairs(distances, same, near)
            return PairReport(thresholds(distances, same, calibration.curve), calibration, missing, len(known))
        except TooFewPairs as error:
            raise ServiceError(Reason.ARGUMENT_INVALID, str(error), field="pairs") from None

    def _subject(self, collection: Collection) -> Subject:
        blocks = self._engine.blocks_of(collection)

        def search(record: StoredRecord, weights: Mapping[str, float], hits: int) -> SearchAnswer:
            assert record.vector is not None
            query = emphasised(record.vector, blocks, weights)
            return collection.search(
                SearchQuery(
                    query.vector, hits, exclude_record_ids=frozenset([record.record_id]), own_record=True,
                    composed=bool(weights), scale=query.scale, weights=query.weights, unweighted=query.unweighted,
                )
            )  # fmt: skip

        tuning = tuning_of(collection.spec.tuning)
        emphasis = self._engine.emphasis_of(collection, {})

        def calibration(weights: Mapping[str, float]) -> Calibration:
            current = tuning.calibration
            if current is None or current.source is not CalibrationSource.DRAWN or not weights:
                return self._engine.calibration_of(collection)
            return self._drawn(collection, weights) or current

        suggested = suggested_weights(collection.feedback.sums(), blocks)
        return Subject(collection, blocks, search, emphasis.weights, calibration, suggested)

    def _drawn(self, collection: Collection, weights: Mapping[str, float]) -> Calibration | None:
        manifest = self._engine.pinned(collection)
        return None if manifest is None else self._engine.drawn_calibration(manifest, weights)


def _judged(collection: Collection) -> list[LabelledRecords]:
    pairs = islice(collection.judged_pairs.every(), MOST_JUDGED)
    return [LabelledRecords(p.record_id, p.other_record_id, p.verdict is Verdict.SAME_PRODUCT) for p in pairs]
