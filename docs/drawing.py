"""Draws docs/architecture.svg: the rooms of the code as boxes, layer by layer, and the imports between them as arrows.

The layers are those of the import contracts in pyproject.toml, the arrows are read from the code. An import that
follows from others (a room imports what a room it imports imports) has no arrow of its own.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
_WIDTH, _BOX, _HEIGHT, _STEP = 940, 150, 34, 66  # pixels
_STYLE = (
    ".b{fill:#eef3f9;stroke:#4a7fb5}.i{fill:#f6f1e7;stroke:#b5924a}.t{fill:#222;text-anchor:middle}"
    ".a{stroke:#777;fill:none;marker-end:url(#m)}.p{fill:#fff}"
)
_FONT = 'font-family="sans-serif" font-size="13"'
_MARKER = (
    '<defs><marker id="m" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="#777"/></marker></defs>'
)


@dataclass(frozen=True)
class Box:
    """A room in the drawing. x, y: of its upper left corner, in pixels."""

    room: str
    x: int
    y: int

    @property
    def label(self) -> str:
        """The room as a path, as people look for it."""
        return self.room.replace(".", "/")


def layers() -> list[list[str]]:
    """The rooms, one list for each layer, importing rooms first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found = [
        [[room.strip() for room in layer.split("|")] for layer in contract["layers"]]
        for contract in contracts
        if contract["type"] == "layers"
    ]
    service, index = (next(f for f in found if f[-1][0].startswith(name)) for name in ("service", "index"))
    rows = [[room for room in row if room != "index"] for row in service]
    return [row for row in rows + index if row]


def imports(rooms: list[str]) -> set[tuple[str, str]]:
    """Pairs of rooms of which the first imports the second, without those that follow from others."""
    graph = grimp.build_graph("service", "index", cache_dir=None)
    modules = {room: {room} | graph.find_descendants(room) for room in rooms}
    owner = {module: room for room, inside in modules.items() for module in inside}
    front = {"index": "index.tenant"}  # whoever imports the library's front door reaches all below it
    edges = set()
    for room, inside in modules.items():
        for module in inside:
            for imported in graph.find_modules_directly_imported_by(module):
                target = front.get(imported) or owner.get(imported)
                if target is not None and target != room and not (room.startswith("index") and imported == "index"):
                    edges.add((room, target))
    return {(a, b) for a, b in edges if not _reachable(edges - {(a, b)}, a, b)}


def _reachable(edges: set[tuple[str, str]], start: str, end: str) -> bool:
    seen, waiting = set(), [start]
    while waiting:
        room = waiting.pop()
        for source, target in edges:
            if source == room and target not in seen:
                if target == end:
                    return True
                seen.add(target)
                waiting.append(target)
    return False


def render() -> str:
    """The drawing as SVG."""
    rows = layers()
    boxes = {
        room: Box(room, (_WIDTH * (2 * place + 1) // (2 * len(row))) - _BOX // 2, 16 + number * _STEP)
        for number, row in enumerate(rows)
        for place, room in enumerate(row)
    }
    height = 16 + len(rows) * _STEP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {_FONT}>',
        f"<style>{_STYLE}</style>{_MARKER}",
        f'<rect class="p" width="{_WIDTH}" height="{height}"/>',
        *(_arrow(boxes[a], boxes[b]) for a, b in sorted(imports(list(boxes)))),
        *(_drawn(box) for box in boxes.values()),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _arrow(start: Box, end: Box) -> str:
    x1, y1, x2, y2 = start.x + _BOX // 2, start.y + _HEIGHT, end.x + _BOX // 2, end.y
    bend = (y2 - y1) // 2
    return f'<path class="a" d="M{x1} {y1}C{x1} {y1 + bend} {x2} {y2 - bend} {x2} {y2 - 2}"/>'


def _drawn(box: Box) -> str:
    kind = "i" if box.room.startswith("index") else "b"
    return (
        f'<rect class="{kind}" x="{box.x}" y="{box.y}" width="{_BOX}" height="{_HEIGHT}" rx="5"/>'
        f'<text class="t" x="{box.x + _BOX // 2}" y="{box.y + 22}">{box.label}</text>'
    )
