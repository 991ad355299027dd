"""Pictures of a folder or a table, and what belongs together: the truth of `afterimage encoders add --pictures`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from service.cli.collections.pictures import find_files, read_table
from service.cli.models.adding import PictureFiles
from service.cli.output import CommandError

if TYPE_CHECKING:
    from service.encoder.adding.comparison import GroupedPicture

_SEED = 3


@dataclass(frozen=True)
class PictureInGroup:
    """group: the product of the picture, or another name for what belongs together; empty: unknown."""

    path: Path
    group: str


@dataclass(frozen=True)
class DecodedPictures:
    """Decodes pictures one by one, after `prepare_opencv`. files: has the failures, complete after the last one."""

    files: PictureFiles
    pictures: Sequence[PictureInGroup]

    def __iter__(self) -> Iterator[GroupedPicture]:
        from service.encoder.adding.comparison import GroupedPicture

        for picture in self.pictures:
            pixels = self.files.decoded(picture.path)
            if pixels is not None:
                yield GroupedPicture(pixels, picture.group)

    def __len__(self) -> int:
        return len(self.pictures)


def find_grouped(source: Path, limit: int) -> list[PictureInGroup]:
    """The pictures of a folder, whose subfolders are the groups, or of a table as `afterimage insert --records` takes
    it, whose column `product_id`, or else `label`, names the groups. Of more than `limit`, whole groups are drawn.

    Raises CommandError.
    """
    found = _of_folder(source) if source.is_dir() else _of_table(source)
    if len(found) <= limit:
        return found
    members: dict[str, list[PictureInGroup]] = {}
    for number, picture in enumerate(found):
        members.setdefault(picture.group or f"\0{number}", []).append(picture)
    groups, chosen = list(members.values()), list[PictureInGroup]()
    for place in np.random.default_rng(_SEED).permutation(len(groups)):
        group = groups[place]
        if len(chosen) + len(group) <= limit:
            chosen += group
    return chosen


def _of_folder(folder: Path) -> list[PictureInGroup]:
    def group(path: Path) -> str:
        parts = path.relative_to(folder).parts
        return parts[0] if len(parts) > 1 else ""

    return [PictureInGroup(path, group(path)) for path in find_files([folder])]


def _of_table(table: Path) -> list[PictureInGroup]:
    rows = read_table(table)
    wrong = next((row for row in rows if row.trouble or row.url), None)
    if wrong is not None:
        raise CommandError(
            f"{table}: {wrong.trouble or f'line {wrong.line} has a url; a comparison needs files'}",
            reason="FILE_INVALID",
        )
    return [
        PictureInGroup(table.parent / row.path, row.product_id or str(row.attributes.get("label", ""))) for row in rows
    ]
