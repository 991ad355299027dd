"""An encoder that is far away: slow, and failing when it is told to. It computes with another one."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from service.encoder.contract import Embedding, Encoder, Modality
from service.encoder.manifest import Manifest


class RemoteEncoder:
    """Answers through a connection that carries one request at a time, after a delay.

    Each of `failures` is raised once, instead of an answer and after the work was done: the outcome is unknown.
    """

    def __init__(self, there: Encoder, delay_s: float = 0.005) -> None:
        self._there, self._delay_s = there, delay_s
        self._line = threading.Lock()
        self.failures: list[Exception] = []
        self.requests = 0

    @property
    def manifest(self) -> Manifest:
        return self._there.manifest

    @property
    def modalities(self) -> frozenset[Modality]:
        return self._there.modalities

    def encode(self, inputs: Sequence[Any], modality: Modality) -> list[Embedding]:
        with self._line:
            self.requests += 1
            time.sleep(self._delay_s)
            found = self._there.encode(inputs, modality)
            if self.failures:
                raise self.failures.pop(0)
            return found

    def trial(self, count: int) -> list[Any]:
        return self._there.trial(count)
