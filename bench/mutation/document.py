"""docs/mutation.md, made of the last result and of the reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.mutation.result import Change, Reasons, read_reasons, read_result, survivors_of

_HEAD = """# Mutation run

`make docs` generates this page from the last result of `make mutation`. It makes one small change (a mutant) at a time
to the code of the critical rooms, and runs the nearest fast tests. A mutant that no test detects has survived. It is a
gap in the tests, or it has no observable effect. [Cosmic Ray](https://cosmic-ray.readthedocs.io) creates the mutants.
`bench/mutation/rooms.toml` lists the rooms, their modules and their tests.

"""
_REPEAT = """
`make mutation` runs every mutant of every room, which takes hours, and resumes after a stop. `make mutation MUTANTS=80`
runs a random sample of each room. The sample is the same for the same `SEED`; `SEED="1 2"` runs one for each seed.
`ROOMS="filters quota"` runs only some rooms, and the others keep their earlier results; `MINUTES=50` limits the time.
A larger sample continues a smaller one while code and tests are unchanged. If only new test files were added, killed
mutants are not run again. Mutants of annotations, which are never evaluated, are not created, nor those of operators
that `rooms.toml` excludes. "Timed out" counts as detected: the tests did not finish.
"""


def render() -> str:
    """docs/mutation.md. Raises ValueError where a survivor has no reason, or a reason has no survivor."""
    result = read_result()
    reasons = read_reasons(survivors_of(result))
    if reasons.missing or reasons.stale:
        wrong = [f"no reason for {_short(c)}" for c in reasons.missing]
        wrong += [f"does not survive any more: {_short(c)}" for c in reasons.stale]
        raise ValueError("bench/mutation/reasons.toml is not current:\n" + "\n".join(wrong))
    return "\n".join(
        [_HEAD + _ran(result), "", *_rooms(result), _REPEAT, *_survivors(result, reasons), *_by_hand(result)]
    )


def _ran(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    chosen = "All mutants were run"
    if sample := result["sample"]:
        several = len(result["seeds"]) > 1
        chosen = (
            f"Of each room a random sample of at most {sample} mutants was run{' for each seed' if several else ''}"
        )
    return (
        f"Run on {machine['time'][:10]} at commit `{machine['commit']}` with {result['tool']}, "
        f"{machine['cores']} cores, {machine['cpu']}, Python {machine['python']}. {chosen}."
        f"{_earlier(result)}"
    )


def _earlier(result: Mapping[str, Any]) -> str:
    """Which rooms are of earlier runs."""
    runs: dict[tuple[str, str], list[str]] = {}
    for room in result["rooms"]:
        if run := room.get("earlier"):
            runs.setdefault((run["time"][:10], run["commit"]), []).append(room["room"])
    told = "".join(f" On {day} at commit `{commit}`: {', '.join(names)}." for (day, commit), names in runs.items())
    return told and f" Some rooms were run earlier.{told}"


def _rooms(result: Mapping[str, Any]) -> Iterator[str]:
    seeds = result["seeds"] if result["sample"] else []
    yield "| room | modules | made | run | killed | timed out | survived | noticed |" + "".join(
        f" seed {n} |" for n in seeds
    )
    yield "|---|---|---:|---:|---:|---:|---:|---:|" + "---:|" * len(seeds)
    for room in result["rooms"]:
        named = ", ".join(f"`{m}`" for m in room["modules"])
        noticed = _share(room["killed"] + room["timed_out"], room["run"])
        row = (
            f"| {room['room']} | {named} | {room['made']:,} | {room['run']:,} | {room['killed']:,} | "
            f"{room['timed_out']:,} | {room['survived']:,} | {noticed} |"
        )
        yield row + "".join(f" {_share(s['noticed'], s['run'])} |" for s in room["samples"] if seeds)


def _share(part: int, whole: int) -> str:
    return f"{part / max(1, whole):.1%}"


def _survivors(result: Mapping[str, Any], reasons: Reasons) -> Iterator[str]:
    yield "## Survivors\n"
    for room in result["rooms"]:
        if room["survivors"]:
            yield f"### {room['room']}\n"
            yield "| where | was | became | why it survives |"
            yield "|---|---|---|---|"
        for s in room["survivors"]:
            reason = reasons.of[Change(s["file"], s["before"], s["after"])]
            yield f"| `{s['file']}:{s['line']}` | {_code(s['before'])} | {_code(s['after'])} | {_cell(reason)} |"
        if room["survivors"]:
            yield ""


def _by_hand(result: Mapping[str, Any]) -> Iterator[str]:
    yield "## Manual mutants\n"
    yield "Mutants that tests once failed to detect, from `bench/mutation/hand_made.toml`. Each run includes them.\n"
    yield "| fault | file | detected |"
    yield "|---|---|---|"
    for mutation in result["hand_made"]:
        yield f"| {mutation['fault']} | `{mutation['file']}` | {'yes' if mutation['noticed'] else '**no**'} |"
    yield ""


def _code(text: str) -> str:
    lines = " ⏎ ".join(text.splitlines())
    return f"`{_cell(lines)}`" if lines else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _short(change: Change) -> str:
    return f"{change.file}: {change.before!r} -> {change.after!r}"
