"""The tables of docs/privacy.md that come from bench/results/inversion.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench.environment import RESULTS

RESULT = RESULTS / "inversion.json"
BEGIN, END = "<!-- `make docs` writes this from bench/results/inversion.json -->", "<!-- end -->"
ALTERED = "mean of alterations"
_UNALTERED, _LOOKALIKES = "unaltered", "against other pictures of the same things"
Figures = Mapping[str, Any]


def render(page: str) -> str:
    """The page with its tables made again. Raises ValueError where it has no place for them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/privacy.md has no place for tables: {BEGIN} and {END}")
    return "".join([before, begin, "\n\n", tables(json.loads(RESULT.read_text())), "\n", end, after])


def tables(result: Figures) -> str:
    """All tables, each with its heading line."""
    pictures, encoders = result["pictures"], result["encoders"]
    names = list(encoders)
    parts = [_ran(result)]
    for kind in next(iter(encoders.values()))["reconstruction"]:
        drawn = kind == "drawn"
        count, among = (pictures[n] for n in (("reconstructed", "collection") if drawn else ("photographs",) * 2))
        what = f"{count:,} {'drawn pictures' if drawn else 'photographs'}"
        title = f"Reconstructions of {what}; how many are found again is among {among:,} by the encoder, and by pixels:"
        parts += [title, _reconstruction(result, kind)]
    parts += [
        f"Attributes of {pictures['collection']:,} drawn pictures that are told rightly, in per cent, by the better of "
        f"a linear probe and the ten nearest, with {' / '.join(names)}:",
        _attributes(result),
        f"Membership of {pictures['suspects']:,} drawn pictures in a collection of {pictures['collection']:,}, by the "
        f"nearest distance: AUC, and the members found at 1 % false alarms, with {' / '.join(names)}:",
        _membership(result),
        f"Membership in what a collection with the {names[0]} encoder has learnt:",
        _learnt(result["learnt"]),
    ]
    return "\n\n".join(parts) + "\n"


def altered(by_edit: Mapping[str, Figures]) -> dict[str, float]:
    """Mean figures of all alterations."""
    edits = [figures for name, figures in by_edit.items() if name not in (_UNALTERED, _LOOKALIKES)]
    return {name: sum(e[name] for e in edits) / len(edits) for name in ("auc", "tpr")}


def told(figures: Figures) -> float:
    """What the better probe tells."""
    return float(max(figures.values()))


def _ran(result: Figures) -> str:
    machine, pictures = result["machine"], result["pictures"]
    skipped = "".join(f" Skipped: {what} ({why})." for what, why in result["skipped"].items())
    return (
        f"Run on {machine['time'][:10]} at commit `{machine['commit']}` on {machine['cores']} cores, {machine['cpu']}. "
        f"The attacker drew {pictures['training']:,} pictures, and {pictures['known']:,} of them are on the map, too."
        f"{skipped}"
    )


def _reconstruction(result: Figures, kind: str) -> str:
    encoders = result["encoders"]
    head = ["made from"]
    for name in encoders:
        head += [f"{name}: PSNR, dB", "SSIM", "found again"]
    rows = []
    for source in next(iter(encoders.values()))["reconstruction"][kind]:
        row = [source]
        for found in encoders.values():
            figures = found["reconstruction"][kind][source]
            row += [f"{figures['psnr']:.1f}", f"{figures['ssim']:.2f}"]
            row.append(f"{figures['encoder R@1']:.1f} %, {figures['pixels R@1']:.1f} %")
        rows.append(row)
    return _table(head, rows)


def _attributes(result: Figures) -> str:
    encoders, guessed = result["encoders"], result["guessed"]
    rows = [["always the most frequent", *(f"{share:.0f}" for share in guessed.values())]]
    for source in next(iter(encoders.values()))["attributes"]:
        cells = [
            " / ".join(f"{told(found['attributes'][source][name]):.0f}" for found in encoders.values())
            for name in guessed
        ]
        rows.append([source, *cells])
    return _table(["from", *guessed], rows)


def _membership(result: Figures) -> str:
    encoders = result["encoders"]
    rows = []
    for source in next(iter(encoders.values()))["membership"]:
        cells = []
        for pick in (lambda m: m[_UNALTERED], altered, lambda m: m[_LOOKALIKES]):
            both = [pick(found["membership"][source]) for found in encoders.values()]
            cells.append(" / ".join(_judged(figures) for figures in both))
        rows.append([source, *cells])
    return _table(["from", _UNALTERED, ALTERED, _LOOKALIKES], rows)


def _learnt(learnt: Figures) -> str:
    rows = [[f"mean of {int(count):,} vectors", *_columns(figures)] for count, figures in learnt["mean"].items()]
    if weights := learnt.get("weights"):
        rows.append(["weights of the blocks", *_columns(weights)])
    if model := learnt.get("own model"):
        rows.append([f"own model of {model['examples']} examples a label", *_columns(model)])
    return _table(["from", "AUC", "found at 1 % false alarms"], rows)


def _columns(figures: Figures) -> list[str]:
    return [f"{figures['auc']:.2f}", f"{figures['tpr']:.0f} %"]


def _judged(figures: Figures) -> str:
    return f"{figures['auc']:.3f}, {figures['tpr']:.0f} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(line) + " |" for line in (head, *rows)]
    return "\n".join([lines[0], "|---|" + "---:|" * (len(head) - 1), *lines[1:]])
