"""Records from the columns of a typed table, such as a Parquet file's, whatever types another program chose."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from afterimage.client import NewRecord
from service.cli.collections.tables.attribute_values import attributes_of, id_text


def record_of(row: Mapping[str, Any]) -> NewRecord:
    """The record of a row by its columns. Raises ValueError, TypeError or RecursionError."""
    ids = {name: _id(name, row.get(name)) for name in ("record_id", "product_id")}
    if not ids["record_id"]:
        raise ValueError("record_id is empty")
    others = {n: v for n, v in row.items() if n not in ("record_id", "product_id", "vector", "attributes")}
    return NewRecord(
        ids["record_id"], vector=_vector(row["vector"]), product_id=ids["product_id"],
        attributes=attributes_of({**others, **_attributes(row.get("attributes"))}),
    )  # fmt: skip


def _id(name: str, value: object) -> str:
    try:
        return id_text(value)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _vector(value: object) -> bytes:
    """A list of numbers; text such as `[1,2.5]`, as pgvector writes it; or bytes of little-endian float32."""
    if isinstance(value, bytes) and value and not value.lstrip().startswith(b"["):
        if len(value) % 4:
            raise ValueError("vector is bytes, but not of float32")
        return value
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError("vector is text, but not a list of numbers") from None
    if not isinstance(value, list):
        raise ValueError("vector is missing" if value is None else "vector is not a list of numbers")
    if any(v is None for v in value):
        raise ValueError(f"vector has a null at index {value.index(None)}")
    if not all(isinstance(v, int | float | Decimal) and not isinstance(v, bool) for v in value):
        raise ValueError("vector is not a list of numbers")
    return np.asarray(value, "<f4").tobytes()


def _attributes(value: object) -> Mapping[str, object]:
    """The column `attributes`: JSON as text, a struct, or a map."""
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, str):
        value = json.loads(value, parse_float=Decimal) if value.strip() else None
    if isinstance(value, list) and all(isinstance(v, tuple) and len(v) == 2 for v in value):
        value = dict(value)  # what a map is read as
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError("attributes are not an object")
    return value
