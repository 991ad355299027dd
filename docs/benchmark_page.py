"""The top of docs/benchmarks.md, made of bench/results: ten figures, and where all results come from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bench.environment import RESULTS
from index.vectors.query.plan import MAX_ANN_RESULTS

BEGIN, END = "<!-- `make docs` writes this from bench/results -->", "<!-- end -->"
BUSY = 1.5  # a load average of so many a core: other work took part of the machine
GOOD = 0.99  # recall
Results = Mapping[str, Any]

_HEAD = """## Ten figures that users ask for first

Each stands beside its loss or limit. The machine is small: two cores, shared by the server and its clients. "Direct" is
the index in the process of the caller, without a server. The last column names the result, and the commit that was
measured. A † marks files that differed from that commit, a ‡ a machine that was busy with other work.
"""
_WHERE = """**Where all figures come from.** Each command makes its result again, in a clean clone. A run of
changed files is written to `build/bench`, so that it gets into no document. † marks the results of before that rule.
Load is the average at the end, the measurement's own included; ‡ marks more than {busy} a core. Counts and recalls do
not suffer from that, times do.

| result | command | commit | date | machine | load |
|---|---|---|---|---|---:|"""


_PLOTS = """
![Recall against speed](images/index-recall.svg)
![Under filters](images/index-filters.svg)
![Pictures, bytes in](images/pictures-throughput.svg)
![Search by picture by load](images/pictures-latency.svg)
"""


class Row(NamedTuple):
    """One of the figures. results: names of the files that it is from."""

    asked: str
    figure: str
    loss: str
    results: tuple[str, ...]


def read() -> dict[str, Any]:
    """All results, by name. Raises ValueError for one that does not say how it is made again."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    if lacking := [name for name, result in found.items() if not {"machine", "command", "clean"} <= set(result)]:
        raise ValueError(f"bench/results: {', '.join(lacking)} lacks what bench.environment.write_result writes")
    return found


def render(page: str) -> str:
    """The page with its generated part made again. Raises ValueError where it has no place for it."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/benchmarks.md has no place for figures: {BEGIN} and {END}")
    return "".join([before, begin, "\n\n", "\n".join(_lines(read())), "\n\n", end, after])


def _lines(results: Results) -> Iterator[str]:
    yield _HEAD
    yield "| | figure | loss or limit | result, commit |\n|---|---|---|---|"
    for row in rows(results):
        told = ", ".join(f"`{name}.json` {_measured_at(results[name])}" for name in row.results)
        yield f"| **{row.asked}** | {row.figure} | {row.loss} | {told} |"
    yield _PLOTS
    yield _WHERE.format(busy=BUSY)
    for name, result in results.items():
        machine = result["machine"]
        load, date = machine["load_average"], machine["time"][:10]
        where = f"{machine['cores']} × {machine['cpu']}"
        told = f"`{result['command']}` | {_measured_at(result)} | {date} | {where} | {load:.1f}"
        yield f"| `bench/results/{name}.json` | {told} |"


def is_busy(result: Results) -> bool:
    """Whether other work took part of the machine."""
    return float(result["machine"]["load_average"]) > BUSY * int(result["machine"]["cores"])


def _measured_at(result: Results) -> str:
    marks = ("" if result["clean"] else "†") + ("‡" if is_busy(result) else "")
    return str(result["machine"]["commit"]).removesuffix("+changes") + marks


def rows(results: Results) -> list[Row]:
    """The figures, in the order in which users ask."""
    return [
        *_searches(results["index"], results["smoke"]),
        *_pictures(results["pictures"]),
        *_writes(results["index"], results["index-life"], results["smoke"]),
        *_resources(results["index"], results["index-life"]),
        _accuracy(results["encoder"]),
    ]


def _searches(index: Results, smoke: Results) -> Iterator[Row]:
    at = index["sizes"]["100000"]
    ours, peer, bare, server = (at[n] for n in ("this index", "qdrant-edge", "faiss HNSW", "this index, gRPC"))
    one, eight = (smoke["median"][f"search_by_vector_20k_{n}_clients"] for n in (1, 8))
    fast, rival, most = fastest(ours), fastest(peer), fastest(bare)
    yield Row(
        "Searches by vector", f"{fast:,.0f}/s direct among 100,000 × 384; qdrant-edge {rival:,.0f}/s",
        f"through the server {fastest(server):,.0f}/s with one caller; bare FAISS, without ids and attributes, "
        f"{most:,.0f}/s", ("index",),
    )  # fmt: skip
    yield Row(
        "Latency, p99", f"{one['p99_ms']:.1f} ms by vector with one client, 20,000 random vectors through the server",
        f"{eight['p99_ms']:.0f} ms with eight: they get {eight['per_second']:.0f}/s where one gets "
        f"{one['per_second']:.0f}/s", ("smoke",),
    )  # fmt: skip
    best = max(ours["curve"], key=lambda point: point["recall"])
    million = max(p["recall"] for p in index["sizes"]["1000000"]["this index"]["curve"])
    yield Row(
        "Recall of ten", f"{server['curve'][0]['recall']:.3f} with the defaults among 100,000, at most "
        f"{best['recall']:.4f}", f"the highest costs {1 - best['per_second'] / fast:.0%} of the searches; at most "
        f"{million:.3f} among a million; more than {MAX_ANN_RESULTS:,} hits compare every record", ("index",),
    )  # fmt: skip
    ratios = {
        name: found["per_second"] / peer["filters"][name]["per_second"] for name, found in ours["filters"].items()
    }
    half = "one, 50.0%"
    yield Row(
        "Filtered searches", f"{min(ratios.values()):.1f} to {max(ratios.values()):.1f} times as fast as qdrant-edge, "
        f"recall {min(f['recall'] for f in ours['filters'].values()):.3f} or more",
        f"a filter that half of the records pass leaves {ours['filters'][half]['per_second'] / fast:.0%} of them",
        ("index",),
    )  # fmt: skip


def _pictures(pictures: Results) -> Iterator[Row]:
    small, large = (pictures["throughput"][f"builtin, {size}"] for size in ("320 px", "12 megapixels"))
    idle, most, over = (pictures["load"][n] for n in ("idle", "highest", "overload"))
    yield Row(
        "Searches by picture",
        f"{most['per_second']:.0f}/s; alone {idle['p50_ms']:.0f} ms, p99 {idle['p99_ms']:.0f} ms",
        f"at ten times that rate {over['per_second']:.0f}/s, and those admitted have a p99 of {over['p99_ms']:,.0f} ms",
        ("pictures",),
    )  # fmt: skip
    yield Row(
        "Pictures indexed", f"{small['served']:.0f}/s of 320 px, {large['served']:.0f}/s of 12 megapixels, durable",
        f"{small['ratio_to_threads']:.2f} and {large['ratio_to_threads']:.2f} of what bare loops on all cores do",
        ("pictures",),
    )  # fmt: skip


def _writes(index: Results, life: Results, smoke: Results) -> Iterator[Row]:
    at, lone = index["sizes"]["100000"], life["lone_writes"]
    through = smoke["median"]["insert_one_durable_1_clients"]
    many, one = lone["64 writers"], lone["1 writers"]
    yield Row(
        "Durable inserts", f"{at['this index']['rows_per_s']:,}/s in bulk, encrypted; qdrant-edge, which does not wait "
        f"for the disk, {at['qdrant-edge']['rows_per_s']:,}/s; one by one {one['per_second']:,}/s",
        f"through the server {at['this index, gRPC']['rows_per_s']:,}/s in bulk, {through['per_second']:.0f}/s one by "
        f"one; p99 {many['p99_ms']:.0f} ms with 64 writers", ("index", "index-life", "smoke"),
    )  # fmt: skip


def _resources(index: Results, life: Results) -> Iterator[Row]:
    large, small = index["sizes"]["100000"], index["sizes"]["20000"]
    ours, peer = (large[n]["bytes_per_row"] for n in ("this index", "qdrant-edge"))
    few, few_peer = (small[n]["bytes_per_row"] for n in ("this index", "qdrant-edge"))
    yield Row(
        "Memory of 100,000 records", f"{ours / 10:.0f} MB; qdrant-edge {peer / 10:.0f} MB",
        f"of 20,000: {few / 50:.0f} MB, qdrant-edge {few_peer / 50:.0f} MB", ("index",),
    )  # fmt: skip
    some, million = life["cold"], life["cold_million"]
    yield Row(
        "First answer of a collection that is not in memory", f"{some['first_answer']['p50_ms']:.0f} ms of 100,000, "
        f"{million['first_answer']['p50_ms'] / 1000:.2f} s of a million",
        f"the slowest of twenty {some['first_answer']['p99_ms']:.0f} ms and "
        f"{million['first_answer']['p99_ms'] / 1000:.1f} s", ("index-life",),
    )  # fmt: skip


def _accuracy(encoder: Results) -> Row:
    quality, cost = encoder["quality"], encoder["cost"]
    ours, other = quality["built-in"], quality["MobileNetV2 (ImageNet)"]
    ms, others_ms = (cost[n]["threads_1_batch_1_ms"] for n in ("built-in", "MobileNetV2 (ImageNet)"))
    return Row(
        "Accuracy of the built-in encoder", f"same class first on clothing: {ours['clothing']['R@1']} %; MobileNetV2 "
        f"{other['clothing']['R@1']} %", f"on groceries {ours['grocery']['R@1']} %, MobileNetV2 "
        f"{other['grocery']['R@1']} %; a picture takes {ms:.0f} ms of one core, with MobileNetV2 {others_ms:.0f}",
        ("encoder",),
    )  # fmt: skip


def fastest(engine: Results) -> float:
    """Searches per second at the fastest measured point of a recall of GOOD or more."""
    return max(float(point["per_second"]) for point in engine["curve"] if point["recall"] >= GOOD)
