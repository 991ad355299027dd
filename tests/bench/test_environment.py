"""What results say about where they were measured."""

from __future__ import annotations

from bench.environment import describe_machine


def test_the_machine_is_described_with_the_versions_that_are_installed() -> None:
    found = describe_machine()
    assert found["cores"] >= 1
    assert found["packages"]["afterimage-server"][0].isdigit()
    assert all(found["packages"].values())
