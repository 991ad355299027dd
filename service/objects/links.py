"""Links to objects: sealed tokens that say what, for whom and since when, and that nobody else can make or read.

A token holds the moment of its making and how many minutes it lives, in a field that counts to sixty: there is no token
that lives longer than an hour, and one from the future is refused. AES-256-GCM under a key of this deployment.
"""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.errors import Reason, ServiceError
from service.runtime.clocks import ForwardClock

LONGEST_MINUTES = 60
_FORMAT = b"\x01"
_NONCE_BYTES = 12
_AHEAD_S = 5  # by how much clocks of servers on one data directory may differ


@dataclass(frozen=True)
class Linked:
    """What a link leads to. kind: `picture` or `example`; place: the collection, or the training set; key_id: the key
    that asked for it: the link ends with the key."""

    tenant_uid: str
    kind: str
    place: str
    object_id: str
    key_id: str


class Links:
    """Any number of threads may call any method at once."""

    def __init__(self, key: bytes, clock: Callable[[], float] | None = None) -> None:
        """`key`: 32 bytes that only this deployment has. `clock`: seconds since 1970; None: the machine's, but never
        back, so that no link lives longer because the clock was set."""
        self._cipher, self._clock = AESGCM(key), clock or ForwardClock()

    def make(self, linked: Linked, minutes: int) -> tuple[str, int]:
        """A token, and when it ends, milliseconds since 1970. Raises ServiceError (ARGUMENT_INVALID) unless it is to
        live 1 to 60 minutes."""
        if not 1 <= minutes <= LONGEST_MINUTES:
            message = f"the lifetime of a link must be 1 to {LONGEST_MINUTES} minutes, not {minutes}"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="minutes")
        made_s = int(self._clock())
        fields = (linked.tenant_uid, linked.kind, linked.place, linked.object_id, linked.key_id)
        plain = struct.pack("<QB", made_s, minutes) + "\n".join(fields).encode()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = _FORMAT + nonce + self._cipher.encrypt(nonce, plain, _FORMAT)
        token = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
        return token, (made_s + minutes * 60) * 1000

    def read(self, token: str) -> Linked:
        """What a token leads to. Raises ServiceError (LINK_INVALID or LINK_EXPIRED)."""
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            if sealed[:1] != _FORMAT:
                raise ValueError
            nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
            plain = self._cipher.decrypt(nonce, body, _FORMAT)
        except (ValueError, InvalidTag):
            raise ServiceError(Reason.LINK_INVALID, "the link was not created by this server") from None
        made_s, minutes = struct.unpack_from("<QB", plain)
        age_s = self._clock() - made_s
        if not -_AHEAD_S <= age_s < min(minutes, LONGEST_MINUTES) * 60:
            raise ServiceError(Reason.LINK_EXPIRED, "the link has expired; request a new one")
        return Linked(*plain[struct.calcsize("<QB") :].decode().split("\n"))
