"""The hash chain of an audit log: each entry contains the SHA-256 of the previous one, and a signed head the last
one.

The canonical bytes of an entry are its JSON with sorted keys and without spaces, in UTF-8. Its digest is their SHA-256.
`previous` of the first entry is derived from the tenant's uid. A head is signed with Ed25519 (RFC 8032), so that an
exported log can be verified with the public key and without the server.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Details = Mapping[str, str | int | bool]
INTENT = "intent"  # `act` in the details is the intended action
OUTCOME = "outcome"  # of the intent with the number in `intent`, if it was not done as intended


@dataclass(frozen=True)
class Entry:
    """One action.

    - `time_ms`: milliseconds since 1970.
    - `actor`: `key:<id>`, `access:<id>`, `operator` or `server`.
    - `details`: names of collections, counts, ids of keys and runs; never the id of a record, a link or a picture.
    - `previous`, `digest`: SHA-256 in hexadecimal.
    """

    number: int
    time_ms: int
    actor: str
    action: str
    details: Details = field(default_factory=dict)
    previous: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of everything else in the entry, in hexadecimal."""
        return hashlib.sha256(canonical(self.to_dict())).hexdigest()

    def to_dict(self) -> dict[str, object]:
        """The content that the digest covers."""
        return {
            "number": self.number, "time_ms": self.time_ms, "actor": self.actor, "action": self.action,
            "details": dict(self.details), "previous": self.previous,
        }  # fmt: skip


@dataclass(frozen=True)
class Head:
    """The signed last entry of a log. `signature`: Ed25519 in hexadecimal, over the canonical bytes of the rest."""

    tenant_uid: str
    number: int
    digest: str
    time_ms: int
    signature: str = ""

    def to_dict(self) -> dict[str, object]:
        """The content that the signature covers."""
        return {"tenant_uid": self.tenant_uid, "number": self.number, "digest": self.digest, "time_ms": self.time_ms}


def canonical(value: object) -> bytes:
    """JSON with sorted keys and without spaces, in UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def genesis(tenant_uid: str) -> str:
    """The `previous` of a tenant's first entry."""
    return hashlib.sha256(b"afterimage audit log\0" + tenant_uid.encode()).hexdigest()


class Signer:
    """The signing key of one deployment."""

    def __init__(self, secret: bytes) -> None:
        """`secret`: 32 bytes."""
        self._key = Ed25519PrivateKey.from_private_bytes(secret)

    @property
    def public_key(self) -> str:
        """The public key for verification, in hexadecimal."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def sign(self, value: object) -> str:
        """The signature over a value's canonical bytes, in hexadecimal."""
        return self._key.sign(canonical(value)).hex()


def is_signed(value: object, signature: str, public_key: str) -> bool:
    """Whether the owner of the public key signed the value."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), canonical(value))
    except (InvalidSignature, ValueError):
        return False
    return True


def problems(
    tenant_uid: str, entries: Iterable[tuple[Entry, str]], head: Head | None, public_key: str
) -> Iterator[str]:
    """Yields what is wrong with a log.

    `entries`: all entries from the first on, with their stored or exported digests.
    """
    number, previous = 0, genesis(tenant_uid)
    digests = {0: previous}
    for entry, digest in entries:
        number += 1
        if entry.number != number:
            yield f"entry {number} is missing or out of order: found number {entry.number}"
            return
        if entry.previous != previous:
            yield f"entry {number} does not match the digest of the previous one"
        if entry.digest != digest:
            yield f"entry {number} was changed"
        previous = digests[number] = digest
    if head is None:
        if number:
            yield "the log has no signed head"
        return
    if head.tenant_uid != tenant_uid or not is_signed(head.to_dict(), head.signature, public_key):
        yield "the signature of the head is invalid"
    elif head.number > number:
        yield f"the signed head is entry {head.number}, but the log ends with entry {number}"
    elif digests[head.number] != head.digest:
        yield f"entry {head.number} differs from the signed one"
