"""Pictures of a folder with the boxes that somebody marked: the truth of `afterimage detectors add --pictures`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from service.cli.collections.pictures import find_files
from service.cli.models.adding import PictureFiles
from service.cli.output import CommandError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from service.detector.adding.comparison import MarkedPicture

_SEED = 3


@dataclass(frozen=True)
class MarkedFolder:
    """Decodes pictures one by one, after `prepare_opencv`. Marks are files as of YOLO, beside the pictures or in a
    folder `labels` beside a folder `images`. files: has the failures, complete after the last picture."""

    files: PictureFiles
    paths: Sequence[Path]

    def __iter__(self) -> Iterator[MarkedPicture]:
        """Raises CommandError where a file of marks is none."""
        from service.detector.adding.comparison import MarkedPicture

        for path in self.paths:
            boxes = _boxes_beside(path)
            pixels = self.files.decoded(path)
            if pixels is not None:
                yield MarkedPicture(pixels, boxes)

    def __len__(self) -> int:
        return len(self.paths)


def find_marked(folder: Path, limit: int) -> list[Path]:
    """The pictures of a folder, at most `limit` of them, drawn at random. Raises CommandError."""
    found = find_files([folder])
    if len(found) <= limit:
        return found
    chosen = np.random.default_rng(_SEED).choice(len(found), limit, replace=False)
    return [found[n] for n in sorted(chosen.tolist())]


def _boxes_beside(picture: Path) -> NDArray[np.float64] | None:
    """The marks of a picture as shares of its sides, left, top, right, bottom; None without a file of marks."""
    found = next((path for path in _places(picture) if path.is_file()), None)
    if found is None:
        return None
    try:
        lines = [line.split() for line in found.read_text().splitlines() if line.strip()]
        numbers = np.array([[float(n) for n in line[1:5]] for line in lines], np.float64).reshape(-1, 4)
    except (OSError, ValueError):
        numbers = np.full((1, 4), np.nan)
    if not ((numbers >= 0) & (numbers <= 1)).all():  # NaN is neither
        message = f"{found}: lines must be a class and four shares of the picture: centre x, centre y, width, height"
        raise CommandError(message, reason="FILE_INVALID")
    half = numbers[:, 2:] / 2
    return np.concatenate([numbers[:, :2] - half, numbers[:, :2] + half], axis=1)


def _places(picture: Path) -> Iterator[Path]:
    yield picture.with_suffix(".txt")
    parts = list(picture.parts)
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        yield Path(*parts[:last], "labels", *parts[last + 1 :]).with_suffix(".txt")
