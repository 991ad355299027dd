"""A data directory from before manifests: it is migrated, and complete."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from service.tenancy.repairs import tenant_repairs
from tests.support.data.collections import vector
from tests.support.data.data_directory import Opened, key_file, opened, tree

GOLDEN = Path(__file__).parents[2] / "data" / "data-directory-v1" / "data"
FIRST = {"acme": (100, {"hats": 5, "shoes": 7}), "bolt": (200, {"hats": 5})}  # first record; records of collections
KEPT = "20261126T151221-d03cbf9d"
KEPT_OF = ("acme", "shoes")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(GOLDEN, tmp_path / "data")
    shutil.copy(key_file(GOLDEN), key_file(tmp_path / "data"))
    key_file(tmp_path / "data").chmod(0o600)
    return tmp_path / "data"


def check(parts: Opened) -> None:
    """Everything written into the directory is there."""
    assert [t.name for t in parts.registry.tenants()] == ["acme", "bolt"]
    for tenant, (first, collections) in FIRST.items():
        uid, directory = parts.uid(tenant), parts.directory(tenant)
        assert (directory.fault, directory.remarks) == (None, ())
        assert directory.names() == list(collections)
        for name, count in collections.items():
            collection = directory.collection(name)
            found = {r.record_id: r for r in collection.list(0, 100)}
            assert set(found) == {str(first + n) for n in range(count)}
            prices = {str(first + n): {"price": float(n)} for n in range(1, count)} | {str(first): {"price": 99.0}}
            assert {r: dict(found[r].attributes) for r in found} == prices
            vectors = collection.get(list(found), vectors=True)
            for n in range(count):
                expected = vector(first + n) / np.linalg.norm(vector(first + n))
                found_vector = vectors[str(first + n)].vector
                assert found_vector is not None
                assert np.allclose(found_vector, expected, atol=1e-3)
            assert list(collection.problems()) == []
            assert collection.kept.missing() == []
            assert [s.snapshot_id for s in collection.kept.list()] == ([KEPT] if (tenant, name) == KEPT_OF else [])
        assert [(e.number, e.action) for e, _ in parts.audit.of(uid).entries()] == [(1, "collection.create")]
        here = tenant == "acme"
        assert [s.config.name for s in parts.ledgers.of(uid).sources()] == (["spring"] if here else [])
        assert [s.name for s in parts.training.of(uid).sets()] == (["soles"] if here else [])
    assert list(tenant_repairs(parts.registry, parts.data)) == []


def test_all_is_there_at_the_first_start_and_at_the_second_and_nothing_is_removed(root: Path) -> None:
    before = tree(root)
    for _ in range(2):
        with opened(root) as parts:
            check(parts)
        assert sorted(p.parent.name for p in root.glob("tenants/*/manifest.db")) == sorted(
            p.name for p in (root / "tenants").iterdir()
        )
        assert before.keys() <= tree(root).keys()
        untouched = {n for n in before if not n.endswith(".db") or "/kept-" in n}
        assert {n: tree(root)[n] for n in untouched} == {n: before[n] for n in untouched}


def test_its_kept_snapshot_is_restored(root: Path) -> None:
    with opened(root) as parts:
        restored = parts.directory("acme").restore("shoes", KEPT, "again")
        prices = {r.record_id: r.attributes["price"] for r in restored.list(0, 100)}
        assert prices == {str(100 + n): float(n) for n in range(7)}


def test_what_is_lost_after_it_was_brought_forward_is_missed(root: Path) -> None:
    with opened(root) as parts:
        check(parts)
        uid = parts.uid("acme")
    (root / "tenants" / uid / "sync.db").unlink()
    with opened(root) as parts:
        (step,) = [m for name, m in tenant_repairs(parts.registry, parts.data) if name == "acme"]
        assert "sync.db" in step.description
