"""What query processes tell the writer arrives as it was told."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from index import QuerySum, SearchNotes
from service.metrics import Metrics
from service.processes.notes import Told
from service.processes.process_metrics import ProcessMetrics, told_metrics
from service.rpc.forwarding.sender import Sender, forwarded_metadata, sender_of

counts = st.dictionaries(
    st.tuples(st.integers(0, 40_000), st.none() | st.integers(0, 19)), st.integers(1, 1000), max_size=5
)
totals = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8)
names = st.text("0123456789abcdef", min_size=1, max_size=8)


@settings(max_examples=30)
@given(st.dictionaries(names, st.dictionaries(names, st.tuples(st.integers(0, 99), totals, counts), max_size=3)))
def test_notes_arrive_exactly(
    given_notes: dict[str, dict[str, tuple[int, list[float], dict[tuple[int, int | None], int]]]],
) -> None:
    notes = {
        tenant: {uid: SearchNotes(QuerySum(n, np.array(t)), c) for uid, (n, t, c) in found.items()}
        for tenant, found in given_notes.items()
    }
    told = Told.unpack(Told("query-1", "text", notes).pack())
    assert (told.process, told.metrics, told.notes.keys()) == ("query-1", "text", notes.keys())
    for tenant, found in notes.items():
        assert told.notes[tenant].keys() == found.keys()
        for uid, one in found.items():
            other = told.notes[tenant][uid]
            assert (other.queries.number, other.counted) == (one.queries.number, one.counted)
            assert np.array_equal(other.queries.total, one.queries.total)


def test_counts_of_query_processes_are_beside_those_of_the_writer() -> None:
    writer, query = Metrics(), Metrics()
    for metrics, times in ((writer, 2), (query, 5)):
        metrics.calls.labels("/Search", "OK", "grpc").inc(times)
        metrics.call_seconds.labels("/Search", "grpc").observe(0.02 * times)
        metrics.redis_up.set(times == 2)
    shown = ProcessMetrics(writer)
    shown.note("query-1", told_metrics(query))
    shown.note("query-1", told_metrics(query))  # replaces what it told before
    families = {f.name: f for f in text_string_to_metric_families(shown.text().decode())}
    calls = {
        s.labels.get("process", ""): s.value for s in families["afterimage_calls"].samples if s.name.endswith("_total")
    }
    assert calls == {"": 2, "query-1": 5}
    seconds = {
        s.labels.get("process", ""): s.value
        for s in families["afterimage_call_seconds"].samples
        if s.name.endswith("_sum")
    }
    assert seconds == {"": 0.04, "query-1": 0.1}
    assert [s.value for s in families["afterimage_redis_up"].samples] == [1.0]  # the writer's alone


def test_a_client_cannot_say_who_made_its_call() -> None:
    real = Sender("ipv4:192.0.2.1:4711", "r1", ("shop",))
    forged = forwarded_metadata(
        (("authorization", "Bearer x"),), Sender("ipv4:192.0.2.9:1", "r0", ("admin",), judged=True)
    )
    sent = forwarded_metadata((*forged, ("x-request-id", "r2")), real)
    assert sender_of(sent) == real
    assert [n for n, _ in sent] == ["authorization", "x-request-id", "afterimage-sender-bin"]
    assert dict(sent)["x-request-id"] == "r1"
