"""From a filter's tree to the set of slots that it allows.

A comparison is true only of a record that has the attribute, with a value of the literal's type. NOT is the plain
complement: `color != "red"` leaves out records without a color, `NOT color = "red"` lets them in.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from index.types.errors import InvalidInput
from index.vectors.fields.columns import Columns
from index.vectors.fields.operators import EQUAL, OPERATORS, Operator
from index.vectors.filters.syntax import Combination, Comparison, Has, Node, Text

_COMBINE: dict[str, Callable[..., BitMap]] = {"AND": BitMap.intersection, "OR": BitMap.union}


def allowed_slots(tree: Node, columns: Columns, products: NDArray[np.int32], live: BitMap) -> BitMap:
    """The live slots that the filter allows. `products` holds a product code per slot.

    Raises InvalidInput where the filter names `record_id`, which cannot be filtered on.
    """
    if isinstance(tree, Combination):
        parts = [allowed_slots(part, columns, products, live) for part in tree.parts]
        combine = _COMBINE.get(tree.operator)
        return combine(*parts) if combine is not None else BitMap.difference(live, *parts)
    if tree.name == "record_id":
        raise InvalidInput("filter", "record_id cannot be used in a filter; list the ids in the request instead")
    if tree.name == "product_id":
        return _product_slots(tree, columns, products) & live
    return (_has(tree, columns) if isinstance(tree, Has) else _compare(tree, columns)) & live


def _compare(node: Comparison, columns: Columns) -> BitMap:
    value, operator = node.value, OPERATORS[node.operator]
    if isinstance(value, bool):
        return columns.boolean(node.name, value if operator.equal else not value)
    if isinstance(value, Text):
        if operator is EQUAL and not value.prefix:
            return columns.string(node.name, value.value)
        return columns.strings(node.name, _text_matcher(operator, value))
    return columns.numbers(node.name, operator, value)


def _has(node: Has, columns: Columns) -> BitMap:
    value = node.value
    if value is None:
        return columns.present(node.name)
    if isinstance(value, bool):
        return columns.boolean(node.name, value)
    if isinstance(value, Text):
        if not value.prefix:
            return BitMap.union(columns.member(node.name, value.value), columns.string(node.name, value.value))
        matches = _text_matcher(EQUAL, value)
        return BitMap.union(columns.members(node.name, matches), columns.strings(node.name, matches))
    return columns.numbers(node.name, EQUAL, value)


def _product_slots(node: Comparison | Has, columns: Columns, products: NDArray[np.int32]) -> BitMap:
    if isinstance(node, Has) and node.value is None:
        return BitMap(np.flatnonzero(products).astype(np.uint32))
    if not isinstance(node.value, Text):
        return BitMap()
    matches = _text_matcher(EQUAL if isinstance(node, Has) else OPERATORS[node.operator], node.value)
    codes = columns.products.matching(matches)
    return BitMap(np.flatnonzero(np.isin(products, codes)).astype(np.uint32))


def _text_matcher(operator: Operator, literal: Text) -> Callable[[str], bool]:
    value = literal.value
    if literal.prefix:
        return lambda s: s.startswith(value) is operator.equal
    return lambda s: bool(operator.compare(s, value))
