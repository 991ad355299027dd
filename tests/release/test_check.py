"""What `make release-check` finds before a release."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from release import freeze
from release.check import changelog_problems, tag_problems, version_of
from release.distributions import ROOT, ReleaseError, wheel_problems


def test_the_versions_of_this_tree_agree_and_the_changelog_is_of_it() -> None:
    version = version_of(ROOT)
    changelog_problems((ROOT / "CHANGELOG.md").read_text(), version)


@pytest.mark.parametrize("changed", ["pyproject.toml", "proto/pyproject.toml", "proto/afterimage/__init__.py"])
def test_versions_that_differ_are_named(changed: str, tmp_path: Path) -> None:
    version = version_of(ROOT)
    (tmp_path / "proto/afterimage").mkdir(parents=True)
    for name in ("pyproject.toml", "proto/pyproject.toml", "proto/afterimage/__init__.py"):
        text = (ROOT / name).read_text()
        new = text.replace(f' = "{version}"', ' = "9.9.9"', 1) if name == changed else text
        (tmp_path / name).write_text(new)
    with pytest.raises(ReleaseError, match=rf"differ: {version}, 9\.9\.9"):
        version_of(tmp_path)


def test_the_changelog_must_begin_with_the_version_and_have_its_date() -> None:
    assert changelog_problems("# Changelog\n\n## 1.2.0, 2026-11-26\n", "1.2.0") == []
    assert changelog_problems("# Changelog\n\n## 1.2.0, unreleased\n", "1.2.0") == [
        "CHANGELOG.md: write the date, `## 1.2.0, YYYY-MM-DD`"
    ]
    for text in ("# Changelog\n", "## 1.2.01, 2026-11-26\n", "## 1.3.0, 2026-11-26\n\n## 1.2.0, 2026-11-25\n"):
        with pytest.raises(ReleaseError, match=r"newest section must be of 1\.2\.0"):
            changelog_problems(text, "1.2.0")


def test_a_tag_of_another_version_is_refused() -> None:
    assert "the tag must be v1.2.0, not 1.2.0" in tag_problems("1.2.0", "1.2.0")


def test_a_wheel_that_lacks_a_file_or_holds_one_too_many_is_refused() -> None:
    whole = {"afterimage/py.typed", "afterimage/client/aio.py", "afterimage/v1/search_service_pb2.py"}
    assert wheel_problems("afterimage-client", whole) == []
    assert wheel_problems("afterimage-client", whole - {"afterimage/py.typed"}) == ["lacks afterimage/py.typed"]
    assert wheel_problems("afterimage-client", whole | {"afterimage_client-1.0.dist-info/METADATA"}) == []
    for foreign in ("tests/test_x.py", "service/errors.py", "afterimage/__pycache__/aio.cpython-311.pyc"):
        assert wheel_problems("afterimage-client", whole | {foreign}) == [f"holds {foreign}"]


def test_what_a_release_notes_is_stale_as_soon_as_a_name_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeze, "RELEASED", tmp_path)
    monkeypatch.setattr(freeze, "API", tmp_path / "released.binpb")
    assert not freeze.is_current("1.0.0")
    names = tmp_path / "names-1.0.0.json"
    names.write_text(json.dumps(freeze.names()))
    (tmp_path / "released.binpb").write_bytes(freeze.descriptors())
    assert freeze.is_current("1.0.0")
    names.write_text(names.read_text().replace("afterimage serve", "afterimage begin"))
    assert not freeze.is_current("1.0.0")
    assert "listen" in freeze.missing_settings("1.0.0")
