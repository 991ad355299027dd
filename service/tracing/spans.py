"""Measures calls and runs that are traced, and carries a trace to where its work continues.

A call has one span, and one child for each stage, however often the stage occurs: from its first start to its last end,
with the count and the time in it. So a call with a hundred pictures costs no more than one with one picture.

A trace is a context variable, as in `service.runtime.call_facts`: tasks and threads of `Workers` inherit it.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final

from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.runtime.clock import SYSTEM_CLOCK, Stopwatch
from service.tracing.allowed import Attribute, Stage, Value

TRACEPARENT = "traceparent"
_FORMAT = TraceContextTextMapPropagator()
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_ids = random.Random()  # noqa: S311 - ids of spans are no secrets
_NS = 1_000_000_000


class StageTimes:
    """When a stage began first and ended last, in seconds since the start of its span; how often, and how long it
    took altogether."""

    __slots__ = ("began_s", "busy_s", "count", "ended_s")

    def __init__(self, began_s: float, ended_s: float) -> None:
        self.began_s, self.ended_s, self.busy_s, self.count = began_s, ended_s, ended_s - began_s, 1

    def add(self, began_s: float, ended_s: float) -> None:
        """One more time."""
        self.began_s, self.ended_s = min(self.began_s, began_s), max(self.ended_s, ended_s)
        self.busy_s += ended_s - began_s
        self.count += 1


class Trace:
    """A call or a run that is traced. Thread-safe.

    - `parent`: the span that it belongs to, here or elsewhere; None: it is the first of its trace.
    - `attributes`: set them with `note` only.
    """

    def __init__(self, name: str, kind: SpanKind, parent: SpanContext | None, ended: Callable[[Trace], None]) -> None:
        self.name, self.kind, self.parent = name, kind, parent
        trace_id = parent.trace_id if parent is not None else _ids.getrandbits(128)
        self.context = SpanContext(trace_id, _ids.getrandbits(64), False, _SAMPLED)
        self.began_ns, self.ended_ns, self._watch = int(SYSTEM_CLOCK.now_s() * _NS), 0, Stopwatch()
        self.attributes: dict[str, Value] = {}
        self.stages: dict[Stage, StageTimes] = {}
        self.failed = self.over = False
        self._ended, self._lock = ended, threading.Lock()
        self._before: Token[Trace | bool | None] | None = None

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self.context.trace_id:032x}"

    def seconds(self) -> float:
        """Seconds since the start."""
        return self._watch.seconds()

    def moment_ns(self, seconds: float) -> int:
        """The time of day, nanoseconds since 1970, at `seconds` after the start."""
        return self.began_ns + int(seconds * _NS)

    def note(self, attribute: Attribute, value: Value) -> None:
        """Sets an attribute. A value that is not on the list is dropped when the span is sent."""
        self.attributes[attribute.value] = value

    def add(self, stage: Stage, began_s: float, ended_s: float) -> None:
        """Adds a stage that began and ended at these seconds after the start. Ignored after the end."""
        with self._lock:
            if self.over:
                return
            known = self.stages.get(stage)
            if known is None:
                self.stages[stage] = StageTimes(began_s, ended_s)
            else:
                known.add(began_s, ended_s)

    def enter(self) -> None:
        """Makes it the trace of the current task."""
        self._before = _current.set(self)

    def end(self, error: str = "", *, failed: bool = False) -> None:
        """Ends the span, in the task that began it. `error`: a Reason's name. `failed`: it is the server's fault."""
        with self._lock:
            if self.over:
                return
            self.over = True
        self.ended_ns = self.moment_ns(self.seconds())
        if error:
            self.note(Attribute.ERROR, error)
        self.failed = failed
        leave(self._before)
        self._ended(self)

    def drop(self) -> None:
        """Ends it without a span."""
        self.over = True
        leave(self._before)

    def forget_parent(self) -> None:
        """Begins a trace of its own, as if the caller had named none."""
        self.parent = None
        self.context = SpanContext(_ids.getrandbits(128), self.context.span_id, False, _SAMPLED)


# None: nothing was decided; False: decided against a trace.
_current: ContextVar[Trace | bool | None] = ContextVar("trace", default=None)


def leave(before: Token[Trace | bool | None] | None) -> None:
    """Restores what was current before a trace."""
    if before is not None:
        _current.reset(before)


class Tracer:
    """Decides which calls and runs are traced. Thread-safe."""

    def __init__(self, share: float, ended: Callable[[Trace], None] | None, close: Callable[[], None]) -> None:
        """Traces a share of what begins here, 0 to 1.

        - `ended`: receives each trace at its end; None: nothing is traced.
        - `close`: sends what was received. It blocks for some seconds at most.
        """
        self.share, self._ended, self.close = share, ended, close

    @property
    def on(self) -> bool:
        """Whether anything can be traced."""
        return self._ended is not None

    def begin(self, name: str, kind: SpanKind = SpanKind.SERVER, carried: str = "") -> Trace | None:
        """Begins a trace of the current task, or a part of the one that the task has; None: it is not traced.

        `carried`: the `traceparent` of whoever asks for the work, whose decision is followed.
        """
        if self._ended is None:
            return None
        outer = _current.get()
        if outer is False:
            return None
        if isinstance(outer, Trace) and not outer.over:
            parent: SpanContext | None = outer.context
        else:
            parent = _parsed(carried) if carried else None
        if not (self._chosen() if parent is None else parent.trace_flags.sampled):
            return None
        trace = Trace(name, kind, parent, self._ended)
        trace.enter()
        return trace

    @contextlib.contextmanager
    def around(self, name: str, carried: str = "") -> Iterator[Trace | None]:
        """A block that makes several calls: they are traced if the block is. Ends its trace, unless that has ended."""
        trace = self.begin(name, carried=carried)
        before = _current.set(False) if trace is None else None
        try:
            yield trace
        finally:
            if trace is not None:
                trace.end()
            leave(before)

    def disown(self, trace: Trace) -> bool:
        """Takes a trace away from a caller that turned out to be unknown. Returns whether it is traced all the same."""
        if trace.parent is None or not trace.parent.is_remote:
            return True
        trace.forget_parent()
        return self._chosen()

    def _chosen(self) -> bool:
        return self.share >= 1 or _ids.random() < self.share


NO_TRACER: Final = Tracer(0.0, None, lambda: None)


class stage:
    """`with stage(Stage.DECODE): …` measures a stage of the current trace, if there is one."""

    __slots__ = ("_began_s", "_stage", "_trace")

    def __init__(self, which: Stage) -> None:
        trace = _current.get()
        self._stage, self._trace = which, trace if isinstance(trace, Trace) else None

    def __enter__(self) -> stage:
        if self._trace is not None:
            self._began_s = self._trace.seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._trace is not None:
            self._trace.add(self._stage, self._began_s, self._trace.seconds())

    def begins_with(self, first: Stage, seconds: float) -> None:
        """Says that the first seconds of it were another stage. Call it before the end."""
        if self._trace is not None and seconds > 0:
            self._trace.add(first, self._began_s, self._began_s + seconds)
            self._began_s += seconds


def note_laps(stages: Sequence[Stage], laps_s: Sequence[float], watch: Stopwatch) -> None:
    """Adds stages that followed each other. `laps_s`: when each began, and the last one ended, by `watch`. Those that
    did not end are left out."""
    trace = _current.get()
    if isinstance(trace, Trace):
        shift_s = trace.seconds() - watch.seconds()
        for which, began_s, ended_s in zip(stages, laps_s, laps_s[1:], strict=False):
            trace.add(which, began_s + shift_s, ended_s + shift_s)


def note(attribute: Attribute, value: Value) -> None:
    """Sets an attribute of the current trace, if there is one."""
    trace = _current.get()
    if isinstance(trace, Trace):
        trace.note(attribute, value)


def traceparent() -> str:
    """The value of the header with which the current trace continues elsewhere; empty if there is no trace.

    For workers of this service only. Hosts of pictures and feeds never get one, nor anything else that joins requests.
    """
    trace = _current.get()
    if not isinstance(trace, Trace) or trace.over:
        return ""
    carrier: dict[str, str] = {}
    _FORMAT.inject(carrier, set_span_in_context(NonRecordingSpan(trace.context)))
    return carrier[TRACEPARENT]


def _parsed(carried: str) -> SpanContext | None:
    """The span that a `traceparent` names; None if it names none. `tracestate` is not read: it is text of a caller."""
    found = get_current_span(_FORMAT.extract({TRACEPARENT: carried})).get_span_context()
    return found if found.is_valid else None
