"""Links to objects: encrypted tokens that only this deployment can create and read.

A token contains its creation time and its lifetime in minutes, in a field limited to 60. No token is valid for more
than an hour, and tokens from the future are refused. They are encrypted with AES-256-GCM under a key of the deployment.
"""

from __future__ import annotations

import base64
import os
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.errors import Reason, ServiceError
from service.runtime.clock import Clock, ForwardClock

MAX_MINUTES = 60
_FORMAT = b"\x01"
_NONCE_BYTES = 12
_AHEAD_S = 5  # maximum difference between the clocks of servers on one data directory


@dataclass(frozen=True)
class Linked:
    """The target of a link.

    - `kind`: `picture` or `example`.
    - `place`: the collection or the training set.
    - `key_id`: the key that requested the link. The link is valid only while the key is.
    """

    tenant_uid: str
    kind: str
    place: str
    object_id: str
    key_id: str


class Links:
    """Thread-safe."""

    def __init__(self, key: bytes, clock: Clock | None = None) -> None:
        """`key`: 32 bytes known only to this deployment.

        The default clock never goes backwards, so that setting the clock does not prolong a link.
        """
        self._cipher, self._clock = AESGCM(key), clock or ForwardClock()

    def make(self, linked: Linked, minutes: int) -> tuple[str, int]:
        """A token, and its expiry in milliseconds since 1970.

        `minutes`: 1 to 60, else raises ServiceError (ARGUMENT_INVALID).
        """
        if not 1 <= minutes <= MAX_MINUTES:
            message = f"the lifetime of a link must be 1 to {MAX_MINUTES} minutes, not {minutes}"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="minutes")
        made_s = int(self._clock.now_s())
        fields = (linked.tenant_uid, linked.kind, linked.place, linked.object_id, linked.key_id)
        plain = struct.pack("<QB", made_s, minutes) + "\n".join(fields).encode()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = _FORMAT + nonce + self._cipher.encrypt(nonce, plain, _FORMAT)
        token = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
        return token, (made_s + minutes * 60) * 1000

    def read(self, token: str) -> Linked:
        """The target of a token. Raises ServiceError (LINK_INVALID or LINK_EXPIRED)."""
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            if sealed[:1] != _FORMAT:
                raise ValueError
            nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
            plain = self._cipher.decrypt(nonce, body, _FORMAT)
        except (ValueError, InvalidTag):
            raise ServiceError(Reason.LINK_INVALID, "the link was not created by this server") from None
        made_s, minutes = struct.unpack_from("<QB", plain)
        age_s = self._clock.now_s() - made_s
        if not -_AHEAD_S <= age_s < min(minutes, MAX_MINUTES) * 60:
            raise ServiceError(Reason.LINK_EXPIRED, "the link has expired; request a new one")
        return Linked(*plain[struct.calcsize("<QB") :].decode().split("\n"))
