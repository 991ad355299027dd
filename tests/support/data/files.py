"""Kinds of damage to files."""

from __future__ import annotations

from pathlib import Path


def flip_byte(path: Path, position: int) -> None:
    """Inverts the lowest bit of one byte; a negative position counts from the end."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def shorten(path: Path, bytes_off: int) -> None:
    """Cuts bytes off the end."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - bytes_off])


def all_bytes(folder: Path) -> bytes:
    """The content of all files below a folder."""
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())
