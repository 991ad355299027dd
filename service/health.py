"""Health of a server, for gRPC's health service and `/readyz`."""

from __future__ import annotations

from service.calls.gate import Gate
from service.web.open_pages import Readiness


class Health:
    """Whether the server's calls are accepted and can be done, as upkeep last found it."""

    def __init__(self, gate: Gate) -> None:
        self._gate, self._healthy = gate, True
        self._remarks: tuple[str, ...] = ()

    def found(self, healthy: bool, remarks: tuple[str, ...]) -> None:
        """What upkeep finds. remarks: a line each for what is not served all the same."""
        self._healthy, self._remarks = healthy, remarks

    def ready(self) -> bool:
        """Whether calls are accepted and can be done."""
        return self._gate.open and self._healthy

    def readiness(self) -> Readiness:
        """As `/readyz` tells it."""
        return Readiness(self.ready(), self._remarks)
