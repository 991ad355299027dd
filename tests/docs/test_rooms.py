"""The layout of the code: small folders, each with a description of its content."""

from pathlib import Path

import pytest

from docs import drawing, rooms

FOLDERS = rooms.folders()


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_no_folder_has_more_than_sixteen_modules(folder: Path) -> None:
    assert len(rooms.modules(folder)) <= rooms.MOST_MODULES


@pytest.mark.parametrize("folder", [f for f in FOLDERS if f.parts[0] != "tests"], ids=str)
def test_every_room_says_what_belongs_there(folder: Path) -> None:
    assert len(rooms.purpose(folder).split()) >= 5


def test_every_folder_of_a_root_package_is_in_the_drawing_or_below_a_folder_that_is() -> None:
    drawn = {room.replace(".", "/") for row in drawing.layers() for room in row}
    beside = {
        "service/runtime",
        "service/settings",
        "service/tracing",
        "index",
        "service",
    }  # imported from everywhere, so that arrows would say nothing
    for folder in FOLDERS:
        if folder.parts[0] in ("index", "service"):
            assert {str(p) for p in (folder, *folder.parents)} & drawn or str(folder) in beside, folder
