"""The comparison operators of filters: the one table that the grammar, the evaluation and the fields read.

An operator is defined by the outcomes of a three-way comparison that it accepts. `<=` accepts less and equal. So one
row says how two values compare, which part of a sorted field matches, and whether the operator applies to values that
have no order. A new comparison operator is a row here; the grammar takes its symbol from it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Operator:
    """A comparison of a record's value (left) with a literal (right).

    compare: of two values, or of an array and a value. less, equal, greater: the outcomes that match.
    """

    symbol: str
    compare: Callable[[Any, Any], Any]
    less: bool = False
    equal: bool = False
    greater: bool = False

    @property
    def needs_order(self) -> bool:
        """Whether the operator distinguishes less from greater, and so takes neither booleans nor prefixes."""
        return self.less is not self.greater

    @property
    def is_negation(self) -> bool:
        """Whether the operator matches all values but the literal."""
        return self.less and self.greater and not self.equal

    def ranges(self, left: int, right: int, end: int) -> list[tuple[int, int]]:
        """Returns the matching ranges (start, stop) of `end` sorted values, of which `left:right` equal the literal."""
        outcomes = ((self.less, 0, left), (self.equal, left, right), (self.greater, right, end))
        ranges: list[tuple[int, int]] = []
        for matches, start, stop in outcomes:
            if matches and ranges and ranges[-1][1] == start:
                ranges[-1] = (ranges[-1][0], stop)
            elif matches:
                ranges.append((start, stop))
        return ranges


OPERATORS: dict[str, Operator] = {
    row.symbol: row
    for row in (
        Operator("=", operator.eq, equal=True),
        Operator("!=", operator.ne, less=True, greater=True),
        Operator("<", operator.lt, less=True),
        Operator("<=", operator.le, less=True, equal=True),
        Operator(">", operator.gt, greater=True),
        Operator(">=", operator.ge, equal=True, greater=True),
    )
}
BELOW = OPERATORS["<"]  # of counts below an edge
EQUAL = OPERATORS["="]
