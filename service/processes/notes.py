"""What query processes note of searches, on its way to the process that writes: means of queries, and counts by day."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from index import AfterimageIndexError, QuerySum, SearchNotes
from service.engine.engine import Engine
from service.processes.process_metrics import ProcessMetrics
from service.tenancy.database import TenancyError

_LOG = logging.getLogger(__name__)
Notes = Mapping[str, Mapping[str, SearchNotes]]  # by tenant and collection


@dataclass(frozen=True)
class Told:
    """What a query process tells. process: its name. metrics: in the Prometheus text format."""

    process: str
    metrics: str
    notes: Notes

    def pack(self) -> bytes:
        """As JSON."""
        notes = {tenant: {uid: _packed(one) for uid, one in found.items()} for tenant, found in self.notes.items()}
        return json.dumps({"process": self.process, "metrics": self.metrics, "notes": notes}).encode()

    @classmethod
    def unpack(cls, raw: bytes) -> Told:
        """What `pack` packed."""
        told: dict[str, Any] = json.loads(raw)
        notes = {tenant: {uid: _unpacked(one) for uid, one in found.items()} for tenant, found in told["notes"].items()}
        return cls(told["process"], told["metrics"], notes)


def _packed(notes: SearchNotes) -> dict[str, Any]:
    counted = [[day, bin_number, times] for (day, bin_number), times in notes.counted.items()]
    queries = notes.queries
    total = base64.b64encode(queries.total.astype("<f8").tobytes()).decode()
    return {"number": queries.number, "total": total, "counted": counted}


def _unpacked(told: Mapping[str, Any]) -> SearchNotes:
    total = np.frombuffer(base64.b64decode(told["total"]), "<f8").astype(np.float64)
    counted = {(day, bin_number): times for day, bin_number, times in told["counted"]}
    return SearchNotes(QuerySum(told["number"], total), counted)


class NoteTaker:
    """Takes notes in the process that writes."""

    def __init__(self, engine: Engine, metrics: ProcessMetrics) -> None:
        self._engine, self._metrics = engine, metrics

    async def take(self, raw: bytes) -> bytes:
        """Adds what a query process noted to what this process has noted itself. Answers nothing."""
        told = Told.unpack(raw)
        self._metrics.note(told.process, told.metrics)
        await asyncio.to_thread(self._take, told.notes)
        return b""

    def _take(self, notes: Notes) -> None:
        for tenant_uid, found in notes.items():
            try:
                self._engine.spaces.directory(tenant_uid).take_in(found)
            except (AfterimageIndexError, TenancyError, OSError) as error:  # deleted meanwhile, or not served
                _LOG.warning("notes of searches were dropped: %s", error)
