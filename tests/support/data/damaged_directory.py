"""Damages a data directory, and compares its tenants' data with the expected content."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from index import AfterimageIndexError, Collection, DataFault, ItemPush, SnapshotDamaged, WrongKey
from service.errors import Reason, ServiceError, SettingError
from service.sync.source_model import SourceConfig
from service.tenancy.apikeys import Scope
from service.tenancy.masterkey import load_master_key
from service.tenancy.registry import TenantRegistry
from service.tenancy.stored_keys import NewKey
from service.training.store import MODELS_HOME
from tests.support.data.collections import record
from tests.support.data.data_directory import (
    COLLECTIONS,
    FIRST,
    Opened,
    add_companions,
    add_learnt,
    key_file,
    make,
    opened,
    tree,
)


def make_whole(folder: Path) -> Path:
    """A folder with a data directory, `data`, and its state before the last changes, `older`."""
    make(folder / "data")
    shutil.copytree(folder / "data", folder / "older")
    with opened(folder / "data") as parts:
        for tenant in FIRST:
            uid = parts.uid(tenant)
            parts.registry.api_keys.create(uid, NewKey(frozenset({Scope.SEARCH})))
            for name in COLLECTIONS:
                collection = parts.directory(tenant).collection(name)
                collection.upsert([record(FIRST[tenant] + 50)])
                collection.delete([str(FIRST[tenant] + 1)])
                collection.saved_searches.update("similar", b"more")
                add_companions(parts, tenant, collection, 1)
                collection.snapshot()
            parts.directory(tenant).change("hats", description="for heads")
            parts.ledgers.of(uid).add_source(SourceConfig("autumn", "hats", "https://shop.example/other"))
            parts.audit.add(uid, "operator", "collection.change", {"collection": "hats"})
            add_learnt(parts, tenant, 1)
            parts.training.of(uid).create_set("brims", "")
    return folder


def copied(whole: Path, target: Path) -> Path:
    """A separate copy of a data directory to damage."""
    shutil.copytree(whole / "data", target / "data")
    shutil.copy(key_file(whole / "data"), key_file(target / "data"))
    return target / "data"


def told(parts: Opened, tenant: str) -> object:
    """All visible data of a tenant."""
    uid, directory = parts.uid(tenant), parts.directory(tenant)
    collections = {}
    for name in directory.names():
        collection = directory.collection(name)
        found = {r.record_id: dict(r.attributes) for r in collection.list(0, 100)}
        kept = [
            (s.snapshot_id, s.records, collection.kept.checked(s.snapshot_id)[0] == s) for s in collection.kept.list()
        ]
        collections[name] = (collection.spec.description, found, collection.count(), kept, _companions(collection))
        assert not collection.kept.missing(), f"kept snapshots are missing: {collection.kept.missing()}"
        problems = [p for p in collection.problems() if not p.startswith("damaged-")]
        if problems:
            raise SnapshotDamaged("; ".join(problems))
    sources = [s.config.name for s in parts.ledgers.of(uid).sources()]
    entries = [(e.number, e.action) for e, _ in parts.audit.of(uid).entries()]
    return collections, sources, entries, _learnt(parts, uid), _pictures(parts, tenant)


def _companions(collection: Collection) -> object:
    """What a collection keeps beside its records."""
    saved = [collection.saved_searches.versions(s.name) for s in collection.saved_searches.page("", 100)]
    pairs = [(p.record_id, p.other_record_id, p.verdict) for p in collection.judged_pairs.every()]
    sums = collection.feedback.sums()
    pushed = [collection.sourced.standing(ItemPush("spring", f"item-{n}", 0)) for n in range(3)]
    felt = None if sums is None else [(m.count, m.totals.tolist()) for m in (sums.liked, sums.disliked, sums.contrast)]
    return saved, pairs, felt, pushed


def _learnt(parts: Opened, uid: str) -> object:
    """The training sets and models of a tenant, with their objects."""
    store = parts.training.of(uid)
    sets = [(s.name, [(e.example_id, _object(parts, uid, s.uid, e.object_id)) for e in store.examples(s.uid)])
            for s in store.sets()]  # fmt: skip
    return sets, [(m.encoder_id, _object(parts, uid, MODELS_HOME, m.object_id)) for m in store.models()]


def _pictures(parts: Opened, tenant: str) -> object:
    """The copies of pictures of a tenant, by collection and record."""
    directory, uid = parts.directory(tenant), parts.uid(tenant)
    books = {name: directory.collection(name).pictures for name in directory.names()}
    kept = {name: book.of([str(FIRST[tenant] + n) for n in range(100)]) for name, book in books.items()}
    return {
        (name, record_id): _object(parts, uid, books[name].home, picture.object_id)
        for name, pictures in kept.items() for record_id, picture in pictures.items()
    }  # fmt: skip


def _object(parts: Opened, uid: str, home: str, object_id: str) -> bytes:
    """An object. Raises SnapshotDamaged with its name, which an answer leaves out: it was asked for its record."""
    try:
        return parts.objects.get(uid, home, object_id)
    except (ServiceError, OSError) as error:
        if isinstance(error, ServiceError) and error.reason not in (Reason.PICTURE_NOT_FOUND, Reason.PICTURE_DAMAGED):
            raise
        raise SnapshotDamaged(f"{uid}/{home}/{object_id}: {error}") from error


def asked(root: Path, tenants: Sequence[str] = tuple(FIRST)) -> dict[str, object]:
    """The visible data of each tenant, or the reason why there is none."""
    try:
        with opened(root) as parts:
            answers: dict[str, object] = {}
            for tenant in tenants:
                try:
                    answers[tenant] = told(parts, tenant)
                except (AfterimageIndexError, AssertionError) as error:
                    answers[tenant] = error
            return answers
    except (DataFault, SettingError, WrongKey) as error:
        return dict.fromkeys(tenants, error)


@functools.cache
def asked_once(whole: Path) -> dict[str, object]:
    """The data of the intact directory."""
    answers = asked(copied(whole, whole / "sound"))
    assert not any(isinstance(answer, Exception) for answer in answers.values()), answers
    return answers


@functools.cache
def uids(whole: Path) -> dict[str, str]:
    """Uids of the tenants, by name."""
    key = load_master_key(key_file(whole / "data"), None, create=False)
    with closing(TenantRegistry(whole / "data" / "registry.db", key)) as registry:
        return {t.name: t.uid for t in registry.tenants()}


def wrongs(whole: Path, root: Path, unharmed: dict[str, str]) -> list[str]:
    """Checks a damaged directory. Returns a line for each fault. `unharmed`: `tree` before the damage."""
    before = tree(root)
    touched = {name for name in before.keys() | unharmed.keys() if before.get(name) != unharmed.get(name)}
    harmed = {Path(name).parts[1] for name in touched if name.startswith(("tenants/", "objects/"))}
    asking = [t for t, uid in uids(whole).items() if not harmed or uid in harmed]
    try:
        answers = asked(root, asking)
    except Exception as error:  # a kind that nobody expects is wrong by itself
        return [f"{type(error).__module__}.{type(error).__name__} is raised: {error}"]
    found = [line for t, answer in answers.items() for line in _wrong(whole, t, answer, touched)]
    return [*found, *_removed(before, tree(root))]


def _wrong(whole: Path, tenant: str, answer: object, touched: set[str]) -> list[str]:
    expected = asked_once(whole)[tenant]
    if answer == expected:
        return []
    if not isinstance(answer, Exception):
        return [f"{tenant} answers {answer}, {expected} is right"]
    names = {part for name in touched for part in Path(name).parts[2:]} | {Path(name).name for name in touched}
    names |= {name.removeprefix("kept-") for name in names}  # a snapshot is named by its id, too
    return [] if any(name in str(answer) for name in names) else [f"{tenant}: {answer!r} names none of {names}"]


def _removed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Databases change when they are opened, so that only their names must remain; of other files the content."""
    contents = set(after.values())
    gone = []
    for name, digest in before.items():
        if name.endswith(".db"):
            if not any(n.endswith(Path(name).name) for n in after):
                gone.append(f"{name} was removed")
        elif not name.endswith(("-wal", "-shm")) and digest not in contents:
            gone.append(f"{name} was removed")
    return gone
