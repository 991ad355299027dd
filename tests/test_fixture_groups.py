"""Tests that share a costly fixture run in one process."""

from __future__ import annotations

import pytest

from tests.support.fixture_groups import group_of


@pytest.fixture(scope="module")
def shared() -> str:
    return "made once"


def test_a_test_with_a_fixture_of_its_module_runs_with_the_others(shared: str, request: pytest.FixtureRequest) -> None:
    module = "tests/test_fixture_groups.py"
    assert group_of(request.node) == module
    assert [mark.args for mark in request.node.iter_markers("xdist_group")] == [(module,)]


def test_a_test_with_fixtures_of_its_own_and_of_the_session_runs_anywhere(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    assert group_of(request.node) == ""
    assert not list(request.node.iter_markers("xdist_group"))
