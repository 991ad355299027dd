"""Metrics of query processes on the page of the writer: the same families, with the label `process`.

A query process tells what it counts, and its processor time and memory. Gauges of the server as a whole are the
writer's alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from service.metrics import Metrics

_COUNTED = ("counter", "histogram")
_GAUGES = ("process_", "afterimage_calls_in_progress", "afterimage_in_flight_bytes")


@dataclass(frozen=True)
class _Families:
    """What `generate_latest` needs of a registry."""

    found: tuple[Metric, ...]

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self.found


def told_metrics(metrics: Metrics) -> str:
    """What a query process tells of itself, in the Prometheus text format."""
    told = (f for f in metrics.registry.collect() if f.type in _COUNTED or f.name.startswith(_GAUGES))
    return _text(told).decode()


class ProcessMetrics:
    """Metrics of the writer, with what query processes told. Thread-safe."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._told: dict[str, str] = {}

    def note(self, process: str, told: str) -> None:
        """Replaces what a process told before."""
        self._told = {**self._told, process: told}

    def text(self) -> bytes:
        """All metrics in the Prometheus text format."""
        families = {family.name: family for family in self._metrics.registry.collect()}
        for process, told in sorted(self._told.items()):
            for family in text_string_to_metric_families(told):
                if family.name in families:
                    own = families[family.name]
                    for sample in family.samples:
                        labels = {**sample.labels, "process": process}
                        own.add_sample(sample.name, labels, sample.value)
        return _text(families.values())


def _text(families: Iterable[Metric]) -> bytes:
    return generate_latest(cast(CollectorRegistry, _Families(tuple(families))))
