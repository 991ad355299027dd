"""Reads responses of hosts: the body within its limits, redirects, partial responses and requested pauses."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import re
from collections.abc import Awaitable, Callable

from service.errors import Reason, ServiceError
from service.intake.download.content_coding import CodingDamaged, CodingUnknown, Decoder, decoders, inflated
from service.intake.download.http_client import Answer
from service.intake.download.limits import FetchLimits
from service.intake.download.urls import Link
from service.runtime.clock import Clock

_GRACE_S = 3.0
_MAX_RATIO, _ALWAYS_ALLOWED = 100, 16 * 1024 * 1024  # of decompressed bytes
_YIELD_EVERY = 1 << 20
_LONGEST_PAUSE_S = 86_400.0
_RANGE = re.compile(rb"bytes 0-(\d{1,18})/(\d{1,18})")

Take = Callable[[bytes], Awaitable[None]]


async def read_body(answer: Answer, take: Take, limits: FetchLimits, clock: Clock) -> None:
    """Decodes the body and passes it to `take` in parts, as they arrive.

    Raises ServiceError (IMAGE_TOO_LARGE, URL_REFUSED), TimeoutError if it arrives too slowly, and whatever `take`
    raises.
    """
    started, received = clock.elapsed_s(), 0
    if answer.length > limits.max_bytes:
        raise _too_large(limits)
    layers = _layers(answer, limits)
    meter = BodyMeter(limits.max_bytes, bool(layers))
    try:
        async for part in answer.parts():
            received += len(part)
            for piece in inflated(part, layers):
                if not meter.add(piece, received):
                    raise _too_large(limits)
                if piece:
                    await take(piece)
                if meter.should_yield():
                    await asyncio.sleep(0)
            seconds = clock.elapsed_s() - started
            if seconds > _GRACE_S and received < limits.least_rate * seconds:
                raise TimeoutError
        if received:
            for layer in layers:
                layer.end()
    except CodingDamaged:
        message = f"the {limits.what} does not match its Content-Encoding, or is truncated"
        raise url_error(Reason.URL_REFUSED, message) from None


def _layers(answer: Answer, limits: FetchLimits) -> list[Decoder]:
    try:
        return decoders(answer.header("Content-Encoding").decode("latin-1"))
    except CodingUnknown as error:
        message = f"the host sends the {limits.what} with an unsupported encoding ({error})"
        raise url_error(Reason.URL_REFUSED, message) from None


def _too_large(limits: FetchLimits) -> ServiceError:
    return url_error(Reason.IMAGE_TOO_LARGE, f"the {limits.what} has more than {limits.max_bytes} bytes")


class BodyMeter:
    """Whether a body is within its limits. A compressed body must not expand by more than `_MAX_RATIO`."""

    def __init__(self, most: int, grows: bool) -> None:
        self._most, self._grows = most, grows
        self._size = self._last = 0

    def add(self, piece: bytes, received: int) -> bool:
        """Whether the piece still fits.

        `received`: bytes received from the host so far.
        """
        self._size += len(piece)
        ratio = max(_ALWAYS_ALLOWED, received * _MAX_RATIO) if self._grows else self._most
        return self._size <= min(self._most, ratio)

    def should_yield(self) -> bool:
        """Whether it is time to yield the event loop."""
        should_yield = self._size - self._last >= _YIELD_EVERY
        self._last = self._size if should_yield else self._last
        return should_yield


def is_whole(answer: Answer) -> bool:
    """Whether a partial response (206), which was not requested, contains the whole body."""
    found = _RANGE.fullmatch(answer.header("Content-Range")) if answer.status == 206 else None
    return found is not None and int(found[1]) + 1 == int(found[2])


def redirect_target(link: Link, location: bytes) -> Link:
    """Returns the target of a redirect. Raises ServiceError (URL_REFUSED, URL_INVALID)."""
    if not location.strip():
        raise url_error(Reason.URL_REFUSED, "the URL redirects without a target")
    return link.join(location)


def retry_after_s(text: str, now_s: float) -> float:
    """Seconds from a Retry-After header, given in seconds or as a date; at most a day, and 60 if it is invalid."""
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_PAUSE_S)
    with contextlib.suppress(ValueError, TypeError):
        return min(max(1.0, email.utils.parsedate_to_datetime(text).timestamp() - now_s), _LONGEST_PAUSE_S)
    return 60.0


def url_error(reason: Reason, message: str, retry_delay_s: float | None = None) -> ServiceError:
    """Returns an error about the field `url`. retry_delay_s: seconds after which a retry may succeed."""
    return ServiceError(reason, message, field="url", retry_delay_s=retry_delay_s)
