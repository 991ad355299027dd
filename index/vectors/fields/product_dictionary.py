"""Product ids as small numbers, so that a row in memory holds four bytes instead of a text."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


class Products:
    """Codes of product ids; 0 is the empty id. One writer, any number of readers. Unpacked when first needed."""

    def __init__(self, packed: bytes = b"") -> None:
        self._packed = packed
        self._unpacking = threading.Lock()
        self._codes: dict[str, int] = {"": 0}
        self._next = 1

    def code(self, product_id: str) -> int:
        """The number of a product id, the same for the same id."""
        codes = self._unpacked()
        code = codes.get(product_id)
        if code is None:
            code = codes[product_id] = self._next
            self._next += 1
        return code

    def find(self, product_id: str) -> int | None:
        """The number of a product id, or None where there is no such product."""
        return self._unpacked().get(product_id)

    def matching(self, matches: Callable[[str], bool]) -> list[int]:
        """Numbers of the product ids, the empty one left out, that match."""
        return [code for name, code in list(self._unpacked().items()) if name and matches(name)]

    def keep(self, codes: NDArray[np.int32]) -> None:
        """Forgets the ids of all other numbers. The writer calls it."""
        kept = set(codes.tolist()) | {0}
        held = self._unpacked()
        for name in [name for name, code in held.items() if code not in kept]:
            del held[name]

    def to_bytes(self) -> bytes:
        """JSON of the ids, their numbers, and the number that comes next."""
        codes = dict(self._unpacked())
        return json.dumps([list(codes), list(codes.values()), self._next], ensure_ascii=False).encode()

    def _unpacked(self) -> dict[str, int]:
        if self._packed:
            with self._unpacking:
                if self._packed:
                    names, codes, self._next = json.loads(self._packed)
                    self._codes = dict(zip(names, codes, strict=True))
                    self._packed = b""
        return self._codes
