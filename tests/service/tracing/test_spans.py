"""What is measured of a call, and how a trace follows its work."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind

from service.engine.workers import Workers
from service.runtime.clock import Stopwatch
from service.tracing.allowed import Attribute, Stage
from service.tracing.spans import NO_TRACER, Trace, Tracer, note, note_laps, stage, traceparent

REMOTE = f"00-{'ab' * 16}-{'cd' * 8}-01"
UNSAMPLED = f"00-{'ab' * 16}-{'cd' * 8}-00"


class Ended(list[Trace]):
    """Traces that have ended."""

    def tracer(self, share: float = 1.0) -> Tracer:
        return Tracer(share, self.append, lambda: None)


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    """Each test sees what a new task sees."""
    assert traceparent() == ""
    yield
    assert traceparent() == ""


def begun(tracer: Tracer, carried: str = "") -> Trace:
    trace = tracer.begin("SearchService/Search", carried=carried)
    assert trace is not None
    return trace


def test_a_call_that_is_not_traced_costs_no_span() -> None:
    ended = Ended()
    for tracer in (NO_TRACER, ended.tracer(0.0)):
        assert tracer.begin("SearchService/Search") is None
        with stage(Stage.DECODE) as decoding:
            decoding.begins_with(Stage.QUEUE, 1.0)
        note(Attribute.COUNT, 1)
        note_laps([Stage.QUEUE], [0.0, 1.0], Stopwatch())
    assert ended == []


@given(st.lists(st.tuples(st.sampled_from(Stage), st.floats(0, 100), st.floats(0, 100)), max_size=30))
def test_each_stage_has_one_span_from_its_first_start_to_its_last_end(times: list[tuple[Stage, float, float]]) -> None:
    trace = Trace("SearchService/Search", SpanKind.SERVER, None, lambda _: None)
    for which, began, lasted in times:
        trace.add(which, began, began + lasted)
    assert set(trace.stages) == {which for which, _, _ in times}
    for which, found in trace.stages.items():
        own = [(began, began + lasted) for s, began, lasted in times if s is which]
        assert found.count == len(own)
        assert (found.began_s, found.ended_s) == (min(b for b, _ in own), max(e for _, e in own))
        assert found.busy_s == pytest.approx(sum(e - b for b, e in own))


def test_a_stage_counts_although_it_fails() -> None:
    ended = Ended()
    trace = begun(ended.tracer())
    with pytest.raises(RuntimeError), stage(Stage.DECODE):
        raise RuntimeError
    trace.end("IMAGE_DAMAGED")
    assert ended == [trace]
    assert trace.stages[Stage.DECODE].count == 1
    assert trace.attributes == {"error.type": "IMAGE_DAMAGED"}


def test_the_first_part_of_a_stage_can_be_another() -> None:
    trace = begun(Ended().tracer())
    with stage(Stage.SEARCH) as searching:
        searching.begins_with(Stage.FILTER, 1e-9)
    trace.end()
    first, then = trace.stages[Stage.FILTER], trace.stages[Stage.SEARCH]
    assert first.ended_s == then.began_s
    assert first.busy_s == pytest.approx(1e-9)


def test_laps_become_stages_and_a_lap_that_did_not_end_is_none() -> None:
    trace = begun(Ended().tracer())
    note_laps((Stage.QUEUE, Stage.DECODE, Stage.ENCODE), [0.0, 0.25, 1.0], Stopwatch())
    trace.end()
    assert {s: t.busy_s for s, t in trace.stages.items()} == {
        Stage.QUEUE: pytest.approx(0.25), Stage.DECODE: pytest.approx(0.75),
    }  # fmt: skip


async def test_tasks_and_threads_of_a_call_add_to_its_trace() -> None:
    ended, workers = Ended(), Workers(1)
    trace = begun(ended.tracer())

    def in_thread() -> str:
        with stage(Stage.SEARCH):
            return traceparent()

    async def in_task() -> str:
        with stage(Stage.ENCODE):
            return await workers.write(in_thread)

    assert await asyncio.create_task(in_task()) == await workers.read(in_thread) == traceparent() != ""
    trace.end()
    assert {s: t.count for s, t in trace.stages.items()} == {Stage.SEARCH: 2, Stage.ENCODE: 1, Stage.STORE: 1}
    workers.close()


async def test_what_goes_on_after_the_end_of_a_call_is_not_its_own() -> None:
    ended = Ended()
    trace, go = begun(ended.tracer()), asyncio.Event()

    async def later() -> str:
        await go.wait()
        with stage(Stage.AUDIT):
            return traceparent()

    task = asyncio.create_task(later())
    await asyncio.sleep(0)
    trace.end()
    trace.end()
    go.set()
    assert await task == ""
    assert ended == [trace]
    assert trace.stages == {}


def test_many_threads_lose_no_stage() -> None:
    trace = begun(Ended().tracer())
    context = contextvars.copy_context()

    def work() -> None:
        for _ in range(500):
            with stage(Stage.FETCH):
                pass

    threads = [threading.Thread(target=context.copy().run, args=(work,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trace.end()
    assert trace.stages[Stage.FETCH].count == 4000


def test_a_callers_trace_is_continued_if_it_is_traced_there() -> None:
    ended = Ended()
    trace = begun(ended.tracer(0.0), REMOTE)
    assert trace.trace_id == "ab" * 16
    assert trace.parent is not None
    assert (trace.parent.span_id, trace.parent.is_remote) == (int("cd" * 8, 16), True)
    trace.end()
    assert ended.tracer(1.0).begin("SearchService/Search", carried=UNSAMPLED) is None


@pytest.mark.parametrize(
    "carried",
    ["", "no", REMOTE.upper(), REMOTE + "-more", REMOTE.replace("ab" * 16, "0" * 32), "ff" + REMOTE[2:], "é" * 55,
     "00-" + "g" * 32 + "-" + "cd" * 8 + "-01", "x" * 100_000],
)  # fmt: skip
def test_what_is_no_traceparent_counts_as_none(carried: str) -> None:
    ended = Ended()
    assert ended.tracer(0.0).begin("SearchService/Search", carried=carried) is None or carried == REMOTE + "-more"
    trace = begun(ended.tracer(1.0), carried)
    trace.end()
    assert trace.parent is None


def test_a_trace_is_carried_as_a_traceparent_and_nothing_else() -> None:
    trace = begun(Ended().tracer())
    assert traceparent() == f"00-{trace.trace_id}-{trace.context.span_id:016x}-01"
    trace.end()


def test_a_caller_that_is_not_known_decides_nothing() -> None:
    ended = Ended()
    for share in (0.0, 1.0):
        tracer = ended.tracer(share)
        trace = begun(tracer, REMOTE)
        assert tracer.disown(trace) == bool(share)
        assert trace.parent is None
        assert trace.trace_id != "ab" * 16
        trace.drop()
    assert ended == []


def test_calls_within_a_request_are_its_children_and_follow_its_decision() -> None:
    ended = Ended()
    with ended.tracer().around("ximilar request") as outer:
        assert outer is not None
        inner = begun(Ended().tracer(0.0))
        assert inner.parent == outer.context
        inner.end()
    with ended.tracer(0.0).around("ximilar request") as outer:
        assert outer is None
        assert Ended().tracer(1.0).begin("SearchService/Search") is None
    begun(ended.tracer()).end()
    assert [t.name for t in ended] == ["ximilar request", "SearchService/Search"]


def test_the_share_of_calls_is_traced() -> None:
    ended = Ended()
    tracer = ended.tracer(0.25)
    for _ in range(4000):
        trace = tracer.begin("SearchService/Search")
        if trace is not None:
            trace.end()
    assert 800 < len(ended) < 1200
    assert len({t.trace_id for t in ended}) == len(ended)


def test_after_a_call_within_a_request_the_request_is_current_again() -> None:
    with Ended().tracer().around("ximilar request") as outer:
        assert outer is not None
        mine = traceparent()
        inner = begun(Ended().tracer())
        assert traceparent() != mine
        inner.end()
        assert traceparent() == mine


async def test_what_begins_after_the_end_of_a_call_is_no_part_of_it() -> None:
    tracer, go = Ended().tracer(), asyncio.Event()
    trace = begun(tracer)

    async def later() -> Trace:
        await go.wait()
        return begun(tracer)

    task = asyncio.create_task(later())
    await asyncio.sleep(0)
    trace.end()
    go.set()
    assert (await task).parent is None
