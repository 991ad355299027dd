"""A text as a query: the vector that the text tower of the encoder gives it."""

from __future__ import annotations

from service.encoder.manifest import Manifest
from service.errors import Reason, ServiceError

_FIELD = "query.text"


def check_takes_text(encoder: Manifest) -> None:
    """Raises ServiceError (QUERY_UNSUPPORTED) for an encoder without a text tower."""
    if encoder.text is None:
        message = f"the encoder {encoder.id!r} has no text tower, so it takes no text"
        raise ServiceError(Reason.QUERY_UNSUPPORTED, message, field=_FIELD)


def nothing_made_of_text() -> ServiceError:
    """The error for a text whose vector is zero."""
    return ServiceError(Reason.ARGUMENT_INVALID, "the encoder makes nothing of this text", field=_FIELD)
