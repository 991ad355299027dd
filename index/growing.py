"""Arrays that only grow at the end, so that readers need no lock.

Entries below a length that was published never change. A reader takes `data` once and looks only below the length that
its view names; when the array grows into a larger buffer, readers keep the one they hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class GrowingArray:
    """A one-dimensional array with amortised append. One writer, any number of readers."""

    def __init__(self, dtype: DTypeLike, initial: NDArray[Any] | None = None) -> None:
        self.length = 0 if initial is None else len(initial)
        self.data: NDArray[Any] = np.zeros(max(64, self.length), dtype)
        if initial is not None:
            self.data[: self.length] = initial

    def append(self, value: Any) -> None:
        """Adds one entry."""
        if self.length == len(self.data):
            larger = np.zeros(self.length * 2, self.data.dtype)
            larger[: self.length] = self.data
            self.data = larger
        self.data[self.length] = value
        self.length += 1
