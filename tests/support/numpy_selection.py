"""The tests that do not apply where `make test-numpy-index` puts an index of nothing but numpy into the service."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from tests.support.data.numpy_index import VARIABLE, install

CHOSEN = os.environ.get(VARIABLE) == "numpy"
_INSIDE = "looks inside the local index"
_SAVES = "is about snapshots in files, of which this index has none"
_SPEED = "asks for speed, or for the graph that makes it"
NOT_APPLICABLE = {  # by the beginning of a test's id
    "tests/index/vectors/": _INSIDE,
    "tests/index/collection/test_verification.py": _INSIDE,
    "tests/index/collection/test_collection.py": _INSIDE,
    "tests/index/collection/test_collection_cache.py": "counts the memory of the local index",
    "tests/index/collection/test_random_operations.py": _INSIDE,
    "tests/index/records/test_group_commit.py": _INSIDE,
    "tests/index/records/test_backups.py": _SAVES,
    "tests/index/conformance/": "chooses its indexes itself",
    "tests/index/tenant/": _SAVES,
    "tests/disk/": _SAVES,
    "tests/service/tenancy/test_damaged_directory.py::test_a_damaged_file_removes_nothing_and_is_named[snap": _SAVES,
    "tests/service/tenancy/test_damaged_directory.py::test_without_database_and_kept": _SAVES,
    "tests/service/handlers/test_search_answers.py::test_through_a_base": _SPEED,
    "tests/service/cli/collections/test_snapshots.py::test_the_index_is_shown_rebuilt": _SPEED,
    "tests/bench/": _SPEED,
}


def install_where_chosen(items: Iterable[pytest.Item]) -> None:
    """Has this process use the index, and skips what does not apply, each with its reason."""
    if not CHOSEN:
        return
    install()
    for item in items:
        for beginning, reason in NOT_APPLICABLE.items():
            if item.nodeid.startswith(beginning):
                item.add_marker(pytest.mark.skip(reason=f"numpy index: {reason}"))
