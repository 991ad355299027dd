"""The mutants of a room, and what became of each: a session file of Cosmic Ray, so that a run goes on after a stop."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from bench.mutation.rooms import ROOT, Room
from bench.mutation.trials import Outcome
from bench.mutation.unused import Span, unused_spans

_TIMED_OUT = "timed out"


@dataclass(frozen=True)
class Choice:
    """Which mutants are run. left_out: operators that are not used. sample: how many of a room and a seed; 0: all."""

    left_out: re.Pattern[str]
    sample: int
    seeds: tuple[int, ...]


class Mutant(NamedTuple):
    """before, after: the lines that differ, without indentation, joined by a line break."""

    file: str
    line: int
    operator: str
    before: str
    after: str
    source: str


class Counts(NamedTuple):
    """killed: by a failed test. timed_out: the tests did not end any more, which is noticed as well."""

    made: int
    run: int
    killed: int
    survived: int
    timed_out: int

    @property
    def noticed(self) -> int:
        """Killed or timed out."""
        return self.killed + self.timed_out


class Session:
    """Of one room."""

    def __init__(self, folder: Path, room: Room, choice: Choice) -> None:
        """Opens the session; makes it anew where code or tests are not what they were. A mutant that was killed stays
        so where its module and the tests of it are as they were and further files of tests came."""
        folder.mkdir(parents=True, exist_ok=True)
        path, note = folder / f"{room.name}.sqlite", folder / f"{room.name}.json"
        basis = _Basis.of(room, choice.left_out)
        before = _Basis.read(note)
        if basis != before:
            killed = _killed(path, before, basis)
            note.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            _fill(WorkDB(path, WorkDB.Mode.create), _made(room, choice.left_out), killed)
            note.write_text(json.dumps(asdict(basis)))
        self._database = WorkDB(path, WorkDB.Mode.open)
        made = self._database.work_items
        self._made = len(made)
        self._samples = {seed: _sample(made, choice.sample, seed) for seed in choice.seeds}
        self._chosen = {job_id: item for sample in self._samples.values() for job_id, item in sample.items()}

    def pending(self) -> list[WorkItem]:
        """What is still to be run of those that were chosen, in random order."""
        done = {job_id for job_id, _ in self._database.results}
        return [item for job_id, item in self._chosen.items() if job_id not in done]

    def survivors(self) -> list[WorkItem]:
        """What no test noticed, in the order of the code."""
        survived = [j for j, r in self._database.results if r.test_outcome is TestOutcome.SURVIVED]
        return sorted((self._chosen[j] for j in survived if j in self._chosen), key=_place)

    def note(self, item: WorkItem, outcome: Outcome) -> None:
        """Notes what became of one."""
        noticed = TestOutcome.SURVIVED if outcome is Outcome.PASSED else TestOutcome.KILLED
        why = _TIMED_OUT if outcome is Outcome.TIMED_OUT else None
        self._database.set_result(item.job_id, WorkResult(WorkerOutcome.NORMAL, output=why, test_outcome=noticed))

    def skip(self, item: WorkItem) -> None:
        """Leaves one out, which then counts as if it had not been made."""
        self._database.set_result(item.job_id, WorkResult(WorkerOutcome.SKIPPED))

    def counts(self, seed: int | None = None) -> Counts:
        """How far the room is, or one of its samples."""
        chosen = self._chosen if seed is None else self._samples[seed]
        results = [result for job_id, result in self._database.results if job_id in chosen]
        run = [result for result in results if result.worker_outcome is not WorkerOutcome.SKIPPED]
        survived = sum(r.test_outcome is TestOutcome.SURVIVED for r in run)
        timed_out = sum(r.output == _TIMED_OUT for r in run)
        return Counts(self._made, len(run), len(run) - survived - timed_out, survived, timed_out)


def _made(room: Room, left_out: re.Pattern[str]) -> list[WorkItem]:
    """All mutants of a room."""
    here = Path.cwd()
    os.chdir(ROOT)
    try:
        with tempfile.TemporaryDirectory() as folder:
            everything = WorkDB(Path(folder) / "all.sqlite", WorkDB.Mode.create)
            init([Path(module) for module in room.modules], everything, {})
            items = everything.work_items
    finally:
        os.chdir(here)
    unused = {module: unused_spans((ROOT / module).read_text()) for module in room.modules}
    return [
        item for item in items for spec in item.mutations
        if not left_out.search(spec.operator_name) and not _within(spec, unused[str(spec.module_path)])
    ]  # fmt: skip


def _sample(made: Sequence[WorkItem], size: int, seed: int) -> dict[str, WorkItem]:
    """The first so many in the order of a seed, by job id."""
    ordered = sorted(made, key=lambda item: _rank(item, seed))
    return {item.job_id: item for item in ordered[: size or None]}


def _rank(item: WorkItem, seed: int) -> str:
    """A place in an order that is random, and the same for the same seed."""
    return hashlib.sha256(f"{seed}:{_name(item)}".encode()).hexdigest()


def _name(item: WorkItem) -> str:
    (spec,) = item.mutations
    return f"{spec.module_path}:{spec.operator_name}:{spec.operator_args}:{spec.occurrence}"


class CannotMutate(Exception):
    """The tool fails at a mutant that it has listed."""


def mutant_of(item: WorkItem) -> Mutant:
    """What a work item changes. Raises CannotMutate."""
    (spec,) = item.mutations
    source = (ROOT / spec.module_path).read_text()
    try:
        mutated = mutate_code(source, get_operator(spec.operator_name)(**spec.operator_args), spec.occurrence)
    except AttributeError as error:  # Cosmic Ray fails at `except module.Error`
        raise CannotMutate(str(spec)) from error
    if mutated is None:
        raise RuntimeError(f"{spec} mutates nothing")
    before, after = _differing(source.splitlines(), mutated.splitlines())
    operator = spec.operator_name.removeprefix("core/")
    return Mutant(str(spec.module_path), spec.start_pos[0], operator, before, after, mutated)


def _differing(old: Sequence[str], new: Sequence[str]) -> tuple[str, str]:
    """The lines between those that are alike at the beginning and at the end."""
    begin = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    end = 0
    while end < min(len(old), len(new)) - begin and old[-1 - end] == new[-1 - end]:
        end += 1
    return _text(old[begin : len(old) - end]), _text(new[begin : len(new) - end])


def _text(lines: Sequence[str]) -> str:
    return "\n".join(line.strip() for line in lines)


def _place(item: WorkItem) -> tuple[str, tuple[int, int], str, int]:
    (spec,) = item.mutations
    return str(spec.module_path), spec.start_pos, spec.operator_name, spec.occurrence


@dataclass(frozen=True)
class _Basis:
    """What a session was made from. files: their digests; tests: of each module."""

    left_out: str
    files: dict[str, str]
    tests: dict[str, list[str]]

    @classmethod
    def of(cls, room: Room, left_out: re.Pattern[str]) -> _Basis:
        """As the project is now."""
        tests = {module: list(room.tests_of(module)) for module in room.modules}
        names = {*tests, *(test.partition("::")[0] for told in tests.values() for test in told), *_beside_tests()}
        files = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in sorted(names)}
        return cls(left_out.pattern, files, tests)

    @classmethod
    def read(cls, note: Path) -> _Basis | None:
        """As it was noted; None where it was not."""
        try:
            return cls(**json.loads(note.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def kills_as(self, other: _Basis, module: str) -> bool:
        """Whether tests that killed a mutant of this module by the other basis kill it by this one."""
        if module not in self.tests or not set(other.tests[module]) <= set(self.tests[module]):
            return False
        needed = {module, *(test.partition("::")[0] for test in other.tests[module]), *_beside_tests()}
        return all(name in self.files and self.files[name] == other.files.get(name) for name in needed)


def _beside_tests() -> set[str]:
    """What tests of every room use."""
    return {"tests/conftest.py"} | {str(p.relative_to(ROOT)) for p in (ROOT / "tests" / "support").rglob("*.py")}


def _killed(path: Path, before: _Basis | None, now: _Basis) -> dict[str, WorkResult]:
    """What was killed in an earlier session and would be again, by the mutant's name."""
    if before is None or not path.exists():
        return {}
    database = WorkDB(path, WorkDB.Mode.open)
    results = {j: r for j, r in database.results if r.test_outcome is TestOutcome.KILLED}
    return {
        _name(item): results[item.job_id] for item in database.work_items
        if item.job_id in results and now.kills_as(before, str(item.mutations[0].module_path))
    }  # fmt: skip


def _fill(database: WorkDB, made: Sequence[WorkItem], killed: Mapping[str, WorkResult]) -> None:
    database.add_work_items(made)
    for item in made:
        if (result := killed.get(_name(item))) is not None:
            database.set_result(item.job_id, result)


def _within(spec: MutationSpec, spans: Sequence[Span]) -> bool:
    return any(begin <= spec.start_pos and spec.end_pos <= end for begin, end in spans)
