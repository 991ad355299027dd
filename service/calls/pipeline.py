"""The parts that every call passes through, and what is counted and traced of it at its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import Counter, Histogram

from service.calls.admission import CallAdmission
from service.calls.gate import Gate
from service.calls.limits.call_limiter import CallLimiter
from service.calls.limits.idle_calls import IdleCalls
from service.calls.method import Method
from service.calls.recording import CallRecording
from service.errors import Code
from service.metrics import Metrics
from service.runtime.access_log import AccessLog
from service.tracing.allowed import Attribute, Door
from service.tracing.spans import NO_TRACER, Trace, Tracer

_STATUSES = {"OK": 0, "CANCELLED": 1, **{code.name: code.value for code in Code}}
# Codes that are the fault of a server, in the conventions of OpenTelemetry for gRPC.
_FAULTS = frozenset({"DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})


@dataclass(frozen=True)
class Deadlines:
    """Deadlines of calls in seconds.

    - `default_s`: for calls that set none.
    - `most_s`: the maximum; longer ones are shortened.
    """

    default_s: float
    most_s: float


@dataclass(frozen=True)
class CallPipeline:
    """The parts that a call passes through, in this order."""

    gate: Gate
    admission: CallAdmission
    limiter: CallLimiter
    deadlines: Deadlines
    recording: CallRecording
    idle_calls: IdleCalls = field(default_factory=IdleCalls)
    access_log: AccessLog = field(default_factory=AccessLog)
    tracer: Tracer = NO_TRACER


@dataclass(frozen=True)
class End:
    """How a call ended: the name of its code and of its reason, and the door it came through. known: whether its caller
    is."""

    code: str
    reason: str
    door: Door
    known: bool


def end_trace(trace: Trace, tracer: Tracer, method: Method, end: End) -> dict[str, str]:
    """Ends the trace of a call. Returns what the log says of it."""
    if not end.known and not tracer.disown(trace):
        trace.drop()
        return {}
    trace.note(Attribute.SERVICE, method.service)
    trace.note(Attribute.METHOD, method.row.name)
    trace.note(Attribute.DOOR, end.door)
    trace.note(Attribute.STATUS, _STATUSES[end.code])
    trace.end(end.reason or ("" if end.code == "OK" else end.code), failed=end.code in _FAULTS)
    return {"trace_id": trace.trace_id}


class CallCounts:
    """Counts and times calls by method, status and transport. For one event loop.

    A metric looks its child up by labels, under a lock. Calls have few combinations, which are kept.
    """

    def __init__(self, metrics: Metrics, gate: Gate) -> None:
        self._metrics = metrics
        self._kept: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        metrics.calls_in_progress.set_function(lambda: gate.running)

    def add(self, path: str, code: str, transport: str, seconds: float) -> None:
        """Counts a call that has ended. All but its duration are of closed sets."""
        key = path, code, transport
        kept = self._kept.get(key)
        if kept is None:
            calls, durations = self._metrics.calls, self._metrics.call_seconds
            kept = self._kept[key] = calls.labels(path, code, transport), durations.labels(path, transport)
        kept[0].inc()
        kept[1].observe(seconds)
