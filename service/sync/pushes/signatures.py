"""Signatures of pushes over HTTP: their check, and the memory of those that were used.

The header `Afterimage-Signature: t=<seconds since 1970>,v1=<hexadecimal>` contains HMAC-SHA256 over `<seconds>.<body>`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import NamedTuple

from service.errors import Reason, ServiceError

WINDOW_S = 300
_MOST_OF_SOURCE = 6_000  # 20 pushes a second
_MOST = 100_000
_HEADER = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-fA-F]{64})", re.ASCII)


class Signature(NamedTuple):
    """What the header says: seconds since 1970, and the digest in lower-case hexadecimal."""

    seconds: int
    digest: str


def read_signature(header: str, now_s: float) -> Signature:
    """The signature of a header. Raises ServiceError (SIGNATURE_INVALID)."""
    found = _HEADER.fullmatch(header.strip())
    if found is None:
        raise invalid("send the header Afterimage-Signature: t=<seconds>,v1=<64 hexadecimal digits>")
    seconds = int(found[1])
    if abs(now_s - seconds) > WINDOW_S:
        raise invalid("the time of the signature is more than 5 minutes from the server's time")
    return Signature(seconds, found[2].lower())


def check_signature(signature: Signature, body: bytes, secrets: Iterable[str]) -> None:
    """Raises ServiceError (SIGNATURE_INVALID) unless one of the secrets signed the body. In constant time."""
    signed = f"{signature.seconds}.".encode() + body
    matches = [
        hmac.compare_digest(hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest(), signature.digest)
        for secret in secrets
    ]
    if not any(matches):
        raise invalid("no secret of a source made this signature")


def invalid(message: str) -> ServiceError:
    """The error for a push without a valid signature."""
    return ServiceError(Reason.SIGNATURE_INVALID, message)


class UsedSignatures:
    """Valid signatures within their window, so that none is taken twice. For one event loop, in bounded memory."""

    def __init__(self) -> None:
        self._used: dict[str, dict[str, float]] = {}  # by source: when each expires
        self._count = 0

    def take(self, source_id: str, signature: Signature, now_s: float) -> None:
        """Notes a signature. Raises ServiceError: SIGNATURE_INVALID if it was used, OVERLOADED if too many were."""
        used = self._used.setdefault(source_id, {})
        if used.get(signature.digest, 0.0) >= now_s:
            raise invalid("this signature was used before; sign again, with the present time")
        if len(used) >= _MOST_OF_SOURCE or self._count >= _MOST:
            self._forget_expired(now_s)
            used = self._used.setdefault(source_id, {})
            if len(used) >= _MOST_OF_SOURCE or self._count >= _MOST:
                raise ServiceError(Reason.OVERLOADED, "too many signed pushes within 5 minutes", retry_delay_s=5.0)
        self._count += signature.digest not in used
        used[signature.digest] = signature.seconds + WINDOW_S

    def give_back(self, source_id: str, signature: Signature) -> None:
        """Forgets a signature whose push failed, so that it can be sent again as it is."""
        if self._used.get(source_id, {}).pop(signature.digest, None) is not None:
            self._count -= 1

    def _forget_expired(self, now_s: float) -> None:
        kept = {s: {d: e for d, e in used.items() if e >= now_s} for s, used in self._used.items()}
        self._used = {source_id: used for source_id, used in kept.items() if used}
        self._count = sum(map(len, self._used.values()))
