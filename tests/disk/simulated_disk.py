"""Simulates the content of a disk after a power cut, with a model of a file system that replays a recording.

A recording of all changes (`recorder.c`) is replayed up to a moment. Everything that was synced by then stays. Of the
rest, each mode keeps a random part, as file systems may (Pillai et al., "All File Systems Are Not Created Equal", OSDI
2014).
"""

from __future__ import annotations

import enum
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

BLOCK = 4096
_HEAD = struct.Struct("<cIQII")
_EXCHANGE = 2  # RENAME_EXCHANGE


class Mode(enum.Enum):
    """Which unsynced changes may be lost."""

    ORDERED_NAMES = "names from a moment on, and whole writes of data at random"
    NAMES_BY_FSYNC = "every name whose directory was not synced after it"
    TORN_BLOCKS = "blocks of 4 KiB of data at random"
    STRICT_POSIX = "names and blocks of data at random, in any order"


class Entry(NamedTuple):
    """One change. operation: as `recorder.c` names it."""

    operation: str
    file_id: int
    offset: int
    first: bytes
    second: bytes


def read_trace(path: Path) -> Iterator[Entry]:
    """The entries of a recording, in order, without an incomplete last one."""
    content = memoryview(path.read_bytes())
    at = 0
    while at + _HEAD.size <= len(content):
        operation, file_id, offset, first, second = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        if at + first + second > len(content):
            return
        yield Entry(operation.decode(), file_id, offset, bytes(content[at : at + first]),
                    bytes(content[at + first : at + first + second]))  # fmt: skip
        at += first + second


class Write(NamedTuple):
    """Data of one write, or a new length where data is None."""

    offset: int
    data: bytes | None


@dataclass(eq=False)
class File:
    """The synced content of a file, and the changes since."""

    stable: bytearray = field(default_factory=bytearray)
    pending: list[Write] = field(default_factory=list)

    def force(self) -> None:
        for change in self.pending:
            _apply(self.stable, change)
        self.pending.clear()


@dataclass(eq=False)
class Folder:
    """Names of a directory, as seen by the running process."""

    names: dict[str, Node] = field(default_factory=dict)


Node = File | Folder


@dataclass(eq=False)
class NameChange:
    """Names that one call set (to a node) or removed (None), atomically."""

    steps: list[tuple[Folder, str, Node | None]]
    forced: bool = False


class Disk:
    """A file system under one folder, filled by replaying entries."""

    def __init__(self) -> None:
        self.root = Folder()
        self._open: dict[int, Node] = {}
        self._changes: list[NameChange] = []
        self._last_force = 0

    def replay(self, entry: Entry) -> None:
        """Applies one change."""
        path, other = entry.first.decode(errors="surrogateescape"), entry.second.decode(errors="surrogateescape")
        match entry.operation:
            case "o":
                self._opened(entry, path)
            case "w":
                self._file(entry).pending.append(Write(entry.offset, entry.first))
            case "t":
                self._file(entry).pending.append(Write(entry.offset, None))
            case "s":
                self._force(self._open[entry.file_id])
            case "d":
                self._set([(path, Folder())])
            case "u":
                self._set([(path, None)])
            case "l":
                self._set([(other, self._node(path))])
            case "r" if entry.offset == _EXCHANGE:
                self._set([(other, self._node(path)), (path, self._node(other))])
            case "r":
                self._set([(other, self._node(path)), (path, None)])

    def write_to(self, target: Path, mode: Mode, chance: random.Random) -> None:
        """Writes a possible content of the disk after a power cut at this moment into a new folder."""
        names = self._surviving_names(mode, chance)
        contents: dict[int, bytes] = {}

        def content(file: File) -> bytes:
            if id(file) not in contents:  # a file of two names has one content
                contents[id(file)] = _survives(file, mode, chance)
            return contents[id(file)]

        _write_folder(self.root, names, target, content)

    def _opened(self, entry: Entry, path: str) -> None:
        created, truncated = entry.offset & 1, entry.offset & 2
        if created and path:
            self._set([(path, File())])
        node = self._open[entry.file_id] = self._node(path)
        if truncated and not created and isinstance(node, File):
            node.pending.append(Write(0, None))

    def _file(self, entry: Entry) -> File:
        node = self._open[entry.file_id]
        assert isinstance(node, File)
        return node

    def _force(self, node: Node) -> None:
        self._last_force = len(self._changes)
        if isinstance(node, File):
            node.force()
            return
        for change in self._changes:
            if not change.forced and any(folder is node for folder, _, _ in change.steps):
                change.forced = True

    def _set(self, steps: list[tuple[str, Node | None]]) -> None:
        found = []
        for path, node in steps:
            parent, _, name = path.rpartition("/")
            folder = self._node(parent)
            assert isinstance(folder, Folder)
            found.append((folder, name, node))
        change = NameChange(found)
        for folder, name, node in found:
            folder.names.pop(name, None)
            if node is not None:
                folder.names[name] = node
        self._changes.append(change)

    def _node(self, path: str) -> Node:
        node: Node = self.root
        for name in filter(None, path.split("/")):
            assert isinstance(node, Folder)
            node = node.names[name]
        return node

    def _surviving_names(self, mode: Mode, chance: random.Random) -> dict[int, dict[str, Node]]:
        """Names by directory. Synced changes stay; each other change is kept or lost as a whole."""
        unforced = [c for c in self._changes if not c.forced]
        if mode is Mode.TORN_BLOCKS:
            kept = set(map(id, unforced))
        elif mode is Mode.NAMES_BY_FSYNC:
            kept = set()
        elif mode is Mode.ORDERED_NAMES:  # a journal: any fsync brings along what came before it
            end = chance.randint(self._last_force, len(self._changes))
            kept = set(map(id, self._changes[:end]))
        else:
            kept = {id(c) for c in unforced if chance.random() < 0.5}
        names: dict[int, dict[str, Node]] = {}
        for change in self._changes:
            if change.forced or id(change) in kept:
                for folder, name, node in change.steps:
                    own = names.setdefault(id(folder), {})
                    own.pop(name, None)
                    if node is not None:
                        own[name] = node
        return names


def _survives(file: File, mode: Mode, chance: random.Random) -> bytes:
    content = bytearray(file.stable)
    for change in file.pending:
        if mode is Mode.NAMES_BY_FSYNC:
            _apply(content, change)
        elif mode is Mode.ORDERED_NAMES or change.data is None:
            if chance.random() < 0.5:
                _apply(content, change)
        else:
            for block in _blocks(change):
                if chance.random() < 0.5:
                    _apply(content, block)
    return bytes(content)


def _blocks(write: Write) -> Iterator[Write]:
    """A write, cut at the boundaries of the disk's blocks."""
    assert write.data is not None
    start, at = 0, write.offset
    while start < len(write.data):
        size = min(BLOCK - at % BLOCK, len(write.data) - start)
        yield Write(at, write.data[start : start + size])
        start, at = start + size, at + size


def _apply(content: bytearray, write: Write) -> None:
    if write.data is None:
        del content[write.offset :]
        content.extend(bytes(write.offset - len(content)))
        return
    if len(content) < write.offset:
        content.extend(bytes(write.offset - len(content)))
    content[write.offset : write.offset + len(write.data)] = write.data


def _write_folder(
    folder: Folder, names: dict[int, dict[str, Node]], target: Path, content: Callable[[File], bytes]
) -> None:
    target.mkdir(mode=0o700)
    for name, node in names.get(id(folder), {}).items():
        if isinstance(node, Folder):
            _write_folder(node, names, target / name, content)
        else:
            (target / name).write_bytes(content(node))
