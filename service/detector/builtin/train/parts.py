"""What scenes are made of, drawn by processes into files: cut-out things, backgrounds and layouts."""

from __future__ import annotations

import multiprocessing
import multiprocessing.pool
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from service.detector.builtin.network import SIDE
from service.encoder.builtin.generator.grounds import any_ground
from service.encoder.builtin.generator.layouts import any_layout
from service.encoder.builtin.generator.scenes import cut_out


@dataclass(frozen=True)
class Amounts:
    """How much is in a chunk, and how many chunks there are."""

    chunks: int = 320
    things: int = 64
    grounds: int = 16
    layouts: int = 64


def draw_chunk(number: int, amounts: Amounts) -> dict[str, NDArray[np.generic]]:
    """One chunk, which depends only on its number.

    - layers: uint8 (things, 4, LAYER_SIDE, LAYER_SIDE), RGB times opacity, and opacity. bounds, fills: of `CutOut`.
    - grounds: uint8 (grounds, 3, SIDE, SIDE).
    - goods, cards, white: of `Layout`.
    """
    rng = np.random.default_rng([1 << 47, number])
    things = [cut_out(rng) for _ in range(amounts.things)]
    layouts = [any_layout(rng) for _ in range(amounts.layouts)]
    return {
        "layers": np.stack([_planes(_premultiplied(t.layer)) for t in things]),
        "bounds": np.stack([t.bounds for t in things]),
        "fills": np.array([t.fill for t in things], np.float32),
        "grounds": np.stack([_planes(any_ground(rng, SIDE)) for _ in range(amounts.grounds)]),
        "goods": np.stack([one.goods for one in layouts]),
        "cards": np.stack([one.cards for one in layouts]),
        "white": np.array([one.white for one in layouts]),
    }


class Drawing:
    """Processes that draw chunks into a folder. Chunks that are there already are not drawn again."""

    def __init__(self, folder: Path, processes: int, amounts: Amounts) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._pool = multiprocessing.get_context("fork").Pool(processes, initializer=_begin)
        self._files = self._pool.imap_unordered(partial(_draw_file, folder, amounts), range(amounts.chunks))

    def take(self, wait: bool) -> dict[str, NDArray[np.generic]] | None:
        """Another chunk, or None where there is none: at the end, or yet if it does not wait."""
        try:
            path = self._files.next() if wait else self._files.next(timeout=0)
        except (StopIteration, multiprocessing.TimeoutError):
            return None
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    def close(self) -> None:
        """Ends the processes."""
        self._pool.terminate()
        self._pool.join()


def _begin() -> None:
    cv2.setNumThreads(1)


def _draw_file(folder: Path, amounts: Amounts, number: int) -> Path:
    path = folder / f"chunk-{number:05d}.npz"
    if not path.exists():
        partly = path.with_suffix(".partial.npz")
        np.savez(partly, **draw_chunk(number, amounts))  # type: ignore[arg-type]
        os.replace(partly, path)
    return path


def _premultiplied(layer: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([layer[..., :3] * layer[..., 3:], layer[..., 3:]], -1)


def _planes(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """float32 (side, side, channels) of 0..1 to uint8 (channels, side, side)."""
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8).transpose(2, 0, 1)
