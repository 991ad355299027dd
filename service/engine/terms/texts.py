"""A text as a query: the vector that the text tower of the encoder gives it."""

from __future__ import annotations

from service.encoder.manifest import Manifest
from service.errors import Reason, ServiceError


def check_takes_text(encoder: Manifest, field: str) -> None:
    """Raises ServiceError (QUERY_UNSUPPORTED) for an encoder without a text tower. field: of the request, with the
    text."""
    if encoder.text is None:
        message = f"the encoder {encoder.id!r} has no text tower, so it takes no text"
        raise ServiceError(Reason.QUERY_UNSUPPORTED, message, field=field)


def nothing_made_of_text(field: str) -> ServiceError:
    """The error for a text whose vector is zero."""
    return ServiceError(Reason.ARGUMENT_INVALID, "the encoder makes nothing of this text", field=field)
