"""Generates the synchronous client from the asynchronous one (`make client`). With --check it only compares.

Removes `async` and `await`, changes the names of the table, and formats with ruff. Only `aio.py` is written by hand.
"""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
import tokenize
from pathlib import Path

CLIENT = Path(__file__).parent / "afterimage" / "client"
SOURCE, TARGET = CLIENT / "aio.py", CLIENT / "sync.py"
_NAMES = {
    "AsyncClient": "Client", "AsyncIterator": "Iterator", "__aenter__": "__enter__", "__aexit__": "__exit__",
    "async_close": "sync_close", "async_method": "sync_method", "async_sleep": "sync_sleep",
    "async_channel": "sync_channel",
}  # fmt: skip
_TEXTS = {
    '"""The client for asyncio programs. Its methods are those of `Client`, as coroutines."""': (
        '"""The client for ordinary programs. Safe to share between threads.\n\n'
        '`make client` generates this module from `aio.py`. Do not edit it.\n"""'
    ),
    (
        '"""A connection to one server, for one event loop. Use it in an `async with` statement, or await `close`.\n\n'
        '    Iterables passed to its methods are read on the thread of the event loop.\n    """'
    ): ('"""A connection to one server. Use it in a `with` statement, or call `close`."""'),
}


def sync_source(source: str) -> str:
    """Returns the synchronous module of an asynchronous one, formatted.

    Raises ValueError if a text of the table is missing, or an asynchronous word is left.
    """
    lines = source.splitlines(keepends=True)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    missing = [text for text in _TEXTS if text not in {t.string for t in tokens}]
    if missing:
        raise ValueError(f"{SOURCE.name} has no {missing[0]}")
    for token, after in reversed(list(itertools.pairwise(tokens))):  # from the end: places stay as they are
        row, column = token.start
        end = after.start[1] if token.string in ("async", "await") else token.end[1]
        if token.type == tokenize.STRING and token.string in _TEXTS:
            lines[row - 1 : token.end[0]] = [_TEXTS[token.string] + "\n"]
            if column:
                lines[row - 1] = " " * column + lines[row - 1]
        elif token.type == tokenize.NAME and token.string in ("async", "await", *_NAMES):
            line = lines[row - 1]
            lines[row - 1] = line[:column] + _NAMES.get(token.string, "") + line[end:]
    made = "".join(lines)
    left = {t.string for t in tokenize.generate_tokens(io.StringIO(made).readline) if t.type == tokenize.NAME}
    if odd := {n for n in left if "async" in n.lower() or n in ("await", "aio", "__anext__", "__aiter__")}:
        raise ValueError(f"{SOURCE.name}: no synchronous name for {', '.join(sorted(odd))}")
    return _tidy(made)


def _tidy(source: str) -> str:
    """Sorts imports, whose names have changed, uses `yield from`, which coroutines cannot, and formats."""
    ruff = str(Path(sys.executable).parent / "ruff")
    for arguments in (["check", "--quiet", "--fix", "--unsafe-fixes", "--select", "I,UP028"], ["format", "--quiet"]):
        ran = subprocess.run(
            [ruff, *arguments, "--stdin-filename", str(TARGET), "-"], input=source, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        source = ran.stdout
    return source


def main() -> int:
    """Returns the exit code."""
    made = sync_source(SOURCE.read_text())
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(made)
        return 0
    if made == TARGET.read_text():
        return 0
    print(f"{TARGET.name} is not what {SOURCE.name} makes; run `make client`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
