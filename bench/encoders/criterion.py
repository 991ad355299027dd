"""The criterion by which recipes of the built-in encoder are chosen. It is the same for all of them.

The mean over nine figures of three packs, each divided by the figure of MobileNetV2 on the same pack in the same run.
An encoder is eligible only if none of them is below the figure of version 2. docs/encoder.md explains it.
"""

from __future__ import annotations

from collections.abc import Mapping

FIGURES: tuple[tuple[str, str], ...] = (
    ("clothing", "R@1"), ("clothing", "mAP@10"), ("grocery", "R@1"), ("grocery", "mAP@10"),
    ("clothing", "copies"), ("clothing", "worst edit"), ("grocery", "copies"), ("grocery", "worst edit"),
    ("drawn", "R@1"),
)  # fmt: skip
Quality = Mapping[str, Mapping[str, float]]  # by pack, by figure


def criterion(quality: Quality, reference: Quality) -> float:
    """The mean of the figures relative to a reference, times 100."""
    return 100 * sum(quality[p][f] / reference[p][f] for p, f in FIGURES) / len(FIGURES)


def losses_against(quality: Quality, earlier: Quality) -> list[str]:
    """The figures that are below those of an earlier version, or not a number: an encoder with any is not chosen."""
    return [f"{p} {f}" for p, f in FIGURES if not quality[p][f] >= earlier[p][f]]
