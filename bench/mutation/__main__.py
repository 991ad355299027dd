"""Mutates the critical rooms and counts what no test notices: `make mutation`.

Goes on where a stopped run ended, as long as code, tests and arguments are the same.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

from cosmic_ray.work_item import WorkItem

from bench.environment import CHANGES, clean_commit, commit, write_result
from bench.mutation.result import RESULT, merged, read_reasons, read_result, survivors_of
from bench.mutation.rooms import ROOT, Room, read_hand_made, read_plan
from bench.mutation.session import CannotMutate, Choice, Session, mutant_of
from bench.mutation.tree import Tree
from bench.mutation.trials import Limits, Outcome, Trials, limits_from

WORK = ROOT / "build" / "mutation"
_IN_MEMORY = Path("/dev/shm")  # tests of files wait for a disk most of their time


class Run:
    """One run over the rooms."""

    def __init__(self, tree: Tree, trials: Trials) -> None:
        self._tree, self._trials = tree, trials
        self._note = WORK / "limits.json"  # of this state of the project
        noted = json.loads(self._note.read_text()) if self._note.exists() else {}
        self._limits: dict[str, list[float]] = noted.get(tree.digest, {})

    def rooms(self, sessions: Mapping[Room, Session], minutes: float, *, again: bool) -> None:
        """Runs what is pending, a mutant of each room after another, for so long; `again`: what survived."""
        items = {room: session.survivors() if again else session.pending() for room, session in sessions.items()}
        began, done, total = time.monotonic(), 0, sum(map(len, items.values()))
        for row in zip_longest(*([(room, item) for item in waiting] for room, waiting in items.items())):
            for room, item in filter(None, row):
                took = time.monotonic() - began
                if took > 60 * minutes:
                    return
                self._run_one(room, sessions[room], item)
                done += 1
                if done % 20 == 0 or done == total:
                    _say(f"{done} of {total}, about {took / done * (total - done) / 60:.0f} min left")
                    for name, session in sessions.items():
                        _say(f"  {name.name}: {_told(session)}")

    def _run_one(self, room: Room, session: Session, item: WorkItem) -> None:
        try:
            mutant = mutant_of(item)
        except CannotMutate as failure:
            session.skip(item)
            _say(f"  left out: the tool fails at {failure}")
            return
        outcome = self._outcome(mutant.file, mutant.source, room.tests_of(mutant.file))
        session.note(item, outcome)
        if outcome is not Outcome.FAILED:
            word = "survived" if outcome is Outcome.PASSED else "timed out"
            _say(f"  {word}: {mutant.file}:{mutant.line}: {mutant.before!r} -> {mutant.after!r}")

    def hand_made(self) -> list[dict[str, Any]]:
        """Runs the mutations that were made by hand."""
        told = []
        for mutation in read_hand_made():
            source = mutation.applied((ROOT / mutation.file).read_text())
            noticed = self._outcome(mutation.file, source, mutation.tests) is not Outcome.PASSED
            _say(f"{'noticed' if noticed else 'NOT NOTICED'}: {mutation.fault}")
            told.append({"fault": mutation.fault, "file": mutation.file, "noticed": noticed})
        return told

    def _outcome(self, file: str, source: str, tests: Sequence[str]) -> Outcome:
        limits = self._limits_of(tests)
        with self._tree.mutated(file, source):
            return self._trials.run(tests, limits).outcome

    def _limits_of(self, tests: Sequence[str]) -> Limits:
        """From a run without a mutation, which must pass, and whose compiled files mutants share."""
        name = " ".join(tests)
        if name not in self._limits:
            unmutated = self._trials.run(tests, keep_compiled=True)
            if unmutated.outcome is not Outcome.PASSED:
                sys.exit(f"{name} do not pass without a mutation:\n{unmutated.output}")
            _say(f"{name}: {unmutated.wall_s:.1f} s, {unmutated.cpu_s:.1f} s of the processor")
            self._limits[name] = list(limits_from(unmutated))
            self._note.write_text(json.dumps({self._tree.digest: self._limits}))
        cpu_s, wall_s = self._limits[name]
        return Limits(int(cpu_s), wall_s)


def main() -> int:
    """0: every hand-made mutation was noticed, and every survivor has a reason."""
    wanted = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends what it started, as Ctrl-C does
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("another mutation run is at work in build/mutation")
        try:
            return _run_rooms(wanted)
        except KeyboardInterrupt:
            sys.exit("stopped; the same command goes on")


def _run_rooms(wanted: argparse.Namespace) -> int:
    only_told = wanted.survivors or (wanted.rooms and commit().endswith(CHANGES))
    measured_at = "" if only_told else clean_commit()
    plan = read_plan()
    rooms = [room for room in plan.rooms if not wanted.rooms or room.name in wanted.rooms]
    choice = Choice(plan.left_out, wanted.sample, tuple(wanted.seed))
    sessions = {room: Session(WORK, room, choice) for room in rooms}
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else WORK) as scratch:
        tree = Tree(WORK / "tree")
        run = Run(tree, Trials(tree.folder, Path(scratch), plan.preload))
        return _run(wanted, sessions, run, measured_at)


def _run(wanted: argparse.Namespace, sessions: Mapping[Room, Session], run: Run, measured_at: str) -> int:
    run.rooms(sessions, wanted.minutes, again=wanted.survivors)
    hand_made = [] if wanted.survivors or wanted.rooms else run.hand_made()
    result = {
        "tool": f"Cosmic Ray {version('cosmic-ray')}",
        "sample": wanted.sample,
        "seeds": wanted.seed,
        "rooms": [_result_of(room, session, wanted.seed) for room, session in sessions.items()],
        "hand_made": hand_made,
    }
    reasons = read_reasons(survivors_of(result))
    for change in reasons.missing:
        _say(f"without a reason: {change.file}: {change.before!r} -> {change.after!r}")
    if not measured_at:
        _say(f"{RESULT.name} is as it was: only survivors were run, or files differ from their commit")
    else:
        print(write_result("mutation", merged(read_result(), result) if wanted.rooms else result, measured_at))
    return int(bool(reasons.missing) or not all(m["noticed"] for m in hand_made))


def _result_of(room: Room, session: Session, seeds: Sequence[int]) -> dict[str, Any]:
    survivors = []
    for item in session.survivors():
        file, line, operator, before, after, _ = mutant_of(item)
        survivors.append({"file": file, "line": line, "operator": operator, "before": before, "after": after})
    tests = [test for part in room.parts for test in part.tests]
    told = {"room": room.name, "modules": room.modules, "tests": list(dict.fromkeys(tests))}
    samples = [{"seed": seed, "run": c.run, "noticed": c.noticed} for seed in seeds for c in [session.counts(seed)]]
    return {**told, **session.counts()._asdict(), "samples": samples, "survivors": survivors}


def _told(session: Session) -> str:
    counts = session.counts()
    share = counts.noticed / max(1, counts.run)
    return f"{counts.made} made, {counts.run} run, {counts.survived} survived, {share:.1%} noticed"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.mutation", description=__doc__)
    parser.add_argument("rooms", nargs="*", help="only these rooms")
    parser.add_argument("--sample", type=int, default=0, help="a random sample of so many mutants of each room")
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="of the sample; several: a sample of each")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long, and tell what was run")
    parser.add_argument("--survivors", action="store_true", help="only those again that survived")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
