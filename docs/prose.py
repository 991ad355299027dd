"""Measures the prose of the documents: words per sentence, and the worst twenty sentences (`make prose-check`).

Fails when a document's average is above `AVERAGE` words or one of its sentences above `LONGEST`. Tables, code,
headings, images and list items that are values rather than sentences do not count.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
AVERAGE = 20
LONGEST = 45
WORST = 20

_FENCE = re.compile(r"^\s*(```|~~~)")
_NOT_PROSE = re.compile(r"^\s*(#|\||!\[|<|\[[^\]]+\]:\s|---+\s*$)")
_ITEM = re.compile(r"^\s*([-*+]|\d+\.)\s+")
_BREAK = re.compile(r"(?<=[.!?])[\"'”)*_]*\s+(?=[\"'“(*_`]*[A-Z0-9`])")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|vs|cf|No|approx)\.$")


Measured = tuple[int, str, str]  # words, where, text


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence as plain text."""

    text: str

    @property
    def words(self) -> int:
        """Inline code counts as one word; dashes and operators standing alone do not count."""
        return sum(1 for word in self.text.split() if re.search(r"\w", word))


def documents() -> list[Path]:
    """The Markdown files of the project: those at the root, under docs/ and in packages.

    The reference pages are made of docstrings, which `docs/docstrings.py` measures.
    """
    folders = ("docs", "index", "service", "bench", "tests", "examples", "proto")
    found = [*ROOT.glob("*.md"), *(path for folder in folders for path in (ROOT / folder).rglob("*.md"))]
    return sorted(path for path in found if path.parent != ROOT / "docs" / "reference")


def sentences(markdown: str) -> list[Sentence]:
    """The sentences of a document, in its order."""
    return [sentence for block in _blocks(markdown) for sentence in _split(block)]


def _blocks(markdown: str) -> list[str]:
    """Paragraphs and list items, each as one line, without those that are not prose."""
    blocks: list[list[str]] = [[]]
    fenced = False
    for line in markdown.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
            blocks.append([])
        elif fenced or not line.strip() or _NOT_PROSE.match(line):
            blocks.append([])
        elif _ITEM.match(line):
            blocks.append([_ITEM.sub("", line)])
        else:
            blocks[-1].append(line.strip())
    joined = (_plain(" ".join(block)) for block in blocks)
    return [block for block in joined if re.search(r"[.!?:][\"'”)*_]*$", block)]


def _plain(text: str) -> str:
    text = re.sub(r"`[^`]+`", "`code`", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return text.replace("**", "").strip()


def _split(block: str) -> list[Sentence]:
    found: list[str] = []
    for part in _BREAK.split(block):
        if found and _ABBREVIATION.search(found[-1]):
            found[-1] += " " + part
        elif part.strip():
            found.append(part.strip())
    return [Sentence(text) for text in found]


def report(places: Mapping[str, Sequence[Measured]], exempt: Container[str] = ()) -> int:
    """Prints the figures of each place. Returns 1 when one is above a limit, else 0.

    places: maps a document or room to its sentences. exempt: places where a long sentence does not fail.
    """
    failures: list[str] = []
    for place, found in places.items():
        lengths = [words for words, _, _ in found]
        mean = sum(lengths) / len(lengths)
        print(f"{mean:5.1f} words a sentence, longest {max(lengths):3}, {len(found):4} sentences  {place}")
        if mean > AVERAGE:
            failures.append(f"{place}: {mean:.1f} words a sentence on average, at most {AVERAGE} are allowed")
        if place not in exempt:
            failures += [
                f"{where}: a sentence of {words} words, at most {LONGEST} are allowed"
                for words, where, _ in found
                if words > LONGEST
            ]
    every = [sentence for found in places.values() for sentence in found]
    print(f"\n{sum(n for n, _, _ in every) / len(every):5.1f} words a sentence in all. The longest {WORST}:")
    for words, where, text in sorted(every, reverse=True)[:WORST]:
        print(f"{words:5}  {where}: {text}")
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def main() -> int:
    """Prints the figures of the documents. Returns 1 when one is above a limit, else 0."""
    places = {}
    for path in documents():
        name = str(path.relative_to(ROOT))
        if found := [(s.words, name, s.text) for s in sentences(path.read_text(encoding="utf-8")) if s.words]:
            places[name] = found
    return report(places)


if __name__ == "__main__":
    sys.exit(main())
