"""What a collection may be like."""

from __future__ import annotations

import re

from index.types.attributes import check_id
from index.types.collection import CollectionSpec
from index.types.errors import InvalidInput

MAX_DIMENSION = 8192
MAX_DESCRIPTION_BYTES = 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def check_spec(spec: CollectionSpec) -> None:
    """Raises InvalidInput unless a collection may be like this."""
    if not _NAME.fullmatch(spec.name):
        raise InvalidInput("collection.name", f"{spec.name[:80]!r} does not match [a-z0-9][a-z0-9_-]{{0,62}}")
    if not 1 <= spec.dimension <= MAX_DIMENSION:
        raise InvalidInput("dimension", f"dimension {spec.dimension} is not within 1..{MAX_DIMENSION}")
    check_id("encoder_id", spec.encoder_id)
    check_description(spec.description)


def check_description(description: str) -> None:
    """Raises InvalidInput where a description is too long."""
    if len(description.encode()) > MAX_DESCRIPTION_BYTES:
        raise InvalidInput("collection.description", f"the description is longer than {MAX_DESCRIPTION_BYTES} bytes")
