"""API keys: `af_live_<id>_<secret>_<crc>`.

The id (12 characters) identifies the key. The secret (43 characters, 256 random bits, base64url) authenticates it. The
CRC-32 (8 hexadecimal digits) lets scanners and clients detect invalid keys without a look-up. Only HMAC-SHA256 of the
secret is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "af_live_"
_KEY = re.compile(r"af_live_([a-z0-9]{12})_([A-Za-z0-9_-]{43})_([0-9a-f]{8})")
_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


class Scope(StrEnum):
    """A permission of a key."""

    SEARCH = "search"
    INSERT = "insert"
    DELETE = "delete"
    EXPORT = "export"
    SYNC = "sync"
    ADMIN = "admin"
    AUDIT = "audit"
    PICTURES = "pictures"
    TRAIN = "train"


@dataclass(frozen=True)
class ApiKey:
    """A key in plain text. It exists only during its creation and during authentication."""

    key_id: str
    secret: str

    def __str__(self) -> str:
        body = f"{PREFIX}{self.key_id}_{self.secret}"
        return f"{body}_{zlib.crc32(body.encode()):08x}"

    def __repr__(self) -> str:
        return f"ApiKey({self.key_id})"

    def digest(self, pepper: bytes) -> bytes:
        """The stored digest of the secret."""
        return hmac.new(pepper, f"{self.key_id}.{self.secret}".encode(), hashlib.sha256).digest()


def new_api_key() -> ApiKey:
    """A new random key."""
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(12))
    return ApiKey(key_id, secrets.token_urlsafe(32))


def parse_api_key(text: str) -> ApiKey | None:
    """Parses a key; None if the format or the checksum is wrong."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    key = ApiKey(match[1], match[2])
    return key if hmac.compare_digest(str(key).encode(), text.encode()) else None


def key_id_of(text: str) -> str:
    """The id of a complete key. Any other text is returned unchanged, because it already is an id."""
    parsed = parse_api_key(text)
    return parsed.key_id if parsed else text
