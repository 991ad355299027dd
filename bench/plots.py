"""`make bench-plots`: draws docs/images/*.svg from bench/results/*.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.environment import RESULTS

mpl.use("svg")
from matplotlib import pyplot as plt

IMAGES = Path(__file__).parents[1] / "docs" / "images"
_INK, _BAR = "#333333", "#4a7fb5"


def bars(title: str, unit: str, values: dict[str, float], target: Path) -> None:
    """Horizontal bars with their figures."""
    figure, axes = plt.subplots(figsize=(8, 0.5 + 0.42 * len(values)))
    names = list(values)
    axes.barh(names, list(values.values()), color=_BAR, height=0.62)
    for row, value in enumerate(values.values()):
        axes.text(value, row, f" {value:,.4g}", va="center", color=_INK, fontsize=9)
    axes.invert_yaxis()
    axes.set_title(f"{title} ({unit})", loc="left", fontsize=11, color=_INK)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])
    axes.margins(x=0.12)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def draw_smoke(result: dict[str, Any]) -> None:
    """Throughput and latency of bench-smoke."""
    median = result["median"]
    flat = {n: v for n, v in median.items() if not isinstance(v, dict)}
    bars("Bulk inserts", "per second", {_label(n): v for n, v in flat.items()}, IMAGES / "smoke-inserts.svg")
    calls = {n: v for n, v in median.items() if isinstance(v, dict)}
    bars("Calls", "per second", {_label(n): v["per_second"] for n, v in calls.items()}, IMAGES / "smoke-calls.svg")
    lone = {n: v for n, v in calls.items() if n.endswith("_1_clients")}
    bars("Latency with one client", "median, ms", {_label(n): v["p50_ms"] for n, v in lone.items()},
         IMAGES / "smoke-latency.svg")  # fmt: skip


def draw_encoder(result: dict[str, Any]) -> None:
    """Quality and latency of bench-encoder."""
    quality, cost = result["quality"], result["cost"]
    whole = {n: q for n, q in quality.items() if not n.endswith("alone") and not n.startswith("without")}
    figures = {
        "encoder-r1": ("Right first, clothing", "R@1, per cent", "clothing", "R@1"),
        "encoder-map": ("Right among ten, clothing", "mAP@10, per cent", "clothing", "mAP@10"),
        "encoder-grocery": ("Right first, groceries", "R@1, per cent", "grocery", "R@1"),
        "encoder-copies": ("Copies found, groceries", "mean of eleven edits, per cent", "grocery", "copies"),
    }
    for file, (title, unit, pack, figure) in figures.items():
        bars(title, unit, {n: q[pack][figure] for n, q in whole.items()}, IMAGES / f"{file}.svg")
    bars("Criterion", "100: as MobileNetV2", {n: result["criterion"][n] for n in whole},
         IMAGES / "encoder-criterion.svg")  # fmt: skip
    times = {n: c["threads_1_batch_1_ms"] for n, c in cost.items() if not n.startswith("built-in, weights")}
    bars("One picture, one thread", "median, ms", times, IMAGES / "encoder-latency.svg")


def draw_pictures(result: dict[str, Any]) -> None:
    """Throughput against the bare loop, and latency under load, of bench-pictures."""
    rows = {n: r for n, r in result["throughput"].items() if n != "stages"}
    ways = {
        "bare loop, full decode": "bare_loop_full_decode", "bare loop": "bare_loop",
        "bare loops in threads": "bare_loops_in_threads", "served": "served",
    }  # fmt: skip
    bars("Pictures, bytes in", "per second", {f"{n}: {w}": r[k] for n, r in rows.items() for w, k in ways.items()},
         IMAGES / "pictures-throughput.svg")  # fmt: skip
    load = {n: r for n, r in result["load"].items() if n != "highest"}
    bars("Search by picture by load, 99 of 100 within", "ms", {n: r["p99_ms"] for n, r in load.items()},
         IMAGES / "pictures-latency.svg")  # fmt: skip


def draw_index(result: dict[str, Any]) -> None:
    """Recall against speed, by size, of bench-index."""
    sizes = result["sizes"]
    figure, panels = plt.subplots(1, len(sizes), figsize=(4.2 * len(sizes), 4), squeeze=False)
    for axes, (rows, engines) in zip(panels[0], sorted(sizes.items(), key=lambda s: int(s[0])), strict=True):
        for name, found in engines.items():
            points = sorted((p["recall"], p["per_second"]) for p in found.get("curve", []))
            width = 2.6 if name == "this index" else 1.2
            if points:
                recall, speed = zip(*points, strict=True)
                axes.plot(recall, speed, marker="o", markersize=3, linewidth=width, label=name)
        axes.set(title=f"{int(rows):,} rows", xlabel="recall@10", xlim=(0.94, 1.001), yscale="log")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
    panels[0][0].set_ylabel("searches per second, one caller")
    panels[0][-1].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(IMAGES / "index-recall.svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    rows = max((s for s, found in sizes.items() if "qdrant-edge" in found), key=int)
    both = {n: sizes[rows][n]["filters"] for n in ("this index", "qdrant-edge")}
    values = {f"{case}: {n}": f[case]["per_second"] for case in next(iter(both.values())) for n, f in both.items()}
    title = f"Searches under filters, {int(rows):,} rows"
    bars(title, "per second", values, IMAGES / "index-filters.svg")


def draw_own_model(result: dict[str, Any]) -> None:
    """mAP@10 of own models by examples of a label, beside their bases."""
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    for (name, found), color in zip(result["encoders"].items(), (_BAR, "#b5804a"), strict=True):
        rows = found["by_examples"]
        counts = [r["per_label"] for r in rows]
        axes.plot(counts, [r["after"] for r in rows], marker="o", markersize=4, color=color, label=f"{name}, own model")
        axes.plot(counts, [r["before"] for r in rows], linestyle=":", color=color, label=f"{name} alone")
    axes.set(xlabel="examples of each of ten labels", ylabel="mAP@10", ylim=(0, 1), xscale="log", xticks=counts)
    axes.set_xticklabels([str(c) for c in counts])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(IMAGES / "own-model.svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)


def _label(name: str) -> str:
    text = name.removesuffix("_per_second").replace("_", " ")
    return text.replace("1 clients", "(1 client)").replace("8 clients", "(8 clients)")


def main() -> None:
    """Draws all plots."""
    mpl.rcParams["svg.hashsalt"] = "afterimage"
    IMAGES.mkdir(parents=True, exist_ok=True)
    draw_smoke(json.loads((RESULTS / "smoke.json").read_text()))
    draw_encoder(json.loads((RESULTS / "encoder.json").read_text()))
    draw_index(json.loads((RESULTS / "index.json").read_text()))
    draw_pictures(json.loads((RESULTS / "pictures.json").read_text()))
    draw_own_model(json.loads((RESULTS / "own-model.json").read_text()))


if __name__ == "__main__":
    main()
